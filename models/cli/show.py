"""`show`: what a checkpoint holds, without loading it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..workshop.listing import files_of, listed
from ..workshop.tree import tree

HELP = "layers, shapes, types and parameters of a checkpoint, without loading it"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("what", metavar="PATH|VARIANT", help="a folder, a .pth, .bin, .safetensors or .gguf file")
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    path = Path(options.what).expanduser()
    if not path.exists() and not _looks_like_a_path(options.what):
        path = files_of(runtime, Variant.parse(options.what))
    listing = listed(path)
    if options.json:
        print(json.dumps(listing.to_dict(), indent=2))
        return 0
    for line in tree(listing):
        print(line)
    return 0


def _looks_like_a_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or text.endswith((".pth", ".bin", ".pt", ".safetensors", ".gguf"))
