"""`convert`: a Llama as Meta sends it, as a Hugging Face folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..domain.settings import Settings
from ..runtime import Runtime
from ..workshop.convert import convert
from .terminal import ProgressLine, add_shard_size, read_file

HELP = "write a Llama in Meta's .pth files as a Hugging Face folder of safetensors"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("folder", type=Path, metavar="DIR", help="with params.json and consolidated.NN.pth")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder that does not exist yet")
    add_shard_size(command)
    command.add_argument("--context", type=int, metavar="TOKENS", help="left out: that of its family")
    command.add_argument("--chat-template", metavar="FILE", help="of a chat model, which Meta's files do not hold")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    line = ProgressLine()
    out = options.out.expanduser().absolute()
    template = read_file(options.chat_template) if options.chat_template else ""
    convert(options.folder.expanduser().absolute(), out, options.max_shard_size, line.show, options.context, template)
    line.clear()
    print(options.out)
    return 0
