"""What the commands about adapters do: what there is for a model, and a merged copy of one with its adapters."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..domain.variant import Variant
from ..runtime import Runtime
from ..training.merge import merge as merge_into
from .terminal import ProgressLine


def add_adapter_commands(group: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `adapters` and `merge` to the command line."""
    listing = group.add_parser("adapters", help="the LoRA adapters that are known for a model")
    listing.add_argument("model")
    listing.add_argument("--hub", action="store_true", help="also those that the Hub has registered for it")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=adapters)
    merging = group.add_parser("merge", help="write a model with its adapters merged into the weights")
    merging.add_argument("variant", help="MODEL[@fp32|bf16|fp16]+ADAPTER[:WEIGHT]...")
    merging.add_argument("--out", required=True, type=Path, metavar="DIR", help="a folder that does not exist yet")
    merging.set_defaults(run=merge)


def adapters(runtime: Runtime, options: argparse.Namespace) -> int:
    model = Variant.parse(options.model)
    listed, found = runtime.adapters(model), runtime.adapters_on_hub(model) if options.hub else []
    if options.json:
        print(json.dumps({"listed": listed, "hub": found}, indent=2))
        return 0
    for entry in listed:
        print(f"{entry['key']:28} {entry['title']:20} {entry['summary']}")
    for entry in found:
        print(f"{entry['hub_id']:60} {entry['downloads']:>10,} downloads")
    if not listed and not found:
        print(f"No adapters are known for {model.model}.", file=sys.stderr)
    return 0


def merge(runtime: Runtime, options: argparse.Namespace) -> int:
    line = ProgressLine()
    folder = options.out.expanduser()
    merge_into(runtime, Variant.parse(options.variant), folder, line.show)
    line.clear()
    print(folder)
    return 0
