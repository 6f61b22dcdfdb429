"""`save`: a variant of transformers as a folder of safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..workshop.save import save
from .terminal import ProgressLine, add_shard_size

HELP = "write a variant as a folder of safetensors: plain, quantized, or with its adapters merged"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("variant", help="MODEL[@QUANT][+ADAPTER[:WEIGHT]]...")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder that does not exist yet")
    add_shard_size(command)


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    line = ProgressLine()
    out = options.out.expanduser().absolute()
    save(runtime, Variant.parse(options.variant), out, options.max_shard_size, line.show)
    line.clear()
    print(options.out)
    return 0
