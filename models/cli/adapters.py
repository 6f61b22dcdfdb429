"""`adapters`: what LoRA adapters there are for a model."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime

HELP = "the LoRA adapters that are known for a model"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("model")
    command.add_argument("--hub", action="store_true", help="also those that the Hub has registered for it")
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    model = Variant.parse(options.model)
    listed, found = runtime.adapters(model), runtime.adapters_on_hub(model) if options.hub else []
    if options.json:
        print(json.dumps({"listed": list(map(asdict, listed)), "hub": list(map(asdict, found))}, indent=2))
        return 0
    for entry in listed:
        print(f"{entry.key:28} {entry.title:20} {entry.summary}")
    for other in found:
        print(f"{other.hub_id:60} {other.downloads:>10,} downloads")
    if not listed and not found:
        print(f"No adapters are known for {model.model}.", file=sys.stderr)
    return 0
