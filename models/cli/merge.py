"""`merge`: a copy of a model with its adapters merged into the weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..training.merge import merge
from .terminal import ProgressLine, add_shard_size

HELP = "write a model with its adapters merged into the weights"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("variant", help="MODEL[@fp32|bf16|fp16]+ADAPTER[:WEIGHT]...")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder that does not exist yet")
    add_shard_size(command)


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    line = ProgressLine()
    folder = options.out.expanduser()
    merge(runtime, Variant.parse(options.variant), folder, line.show, options.max_shard_size)
    line.clear()
    print(folder)
    return 0
