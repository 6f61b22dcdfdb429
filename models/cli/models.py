"""`models`: what can be picked here."""

from __future__ import annotations

import argparse
import json

from ..domain.families import families_table
from ..domain.settings import Settings
from ..runtime import Runtime

HELP = "what can be picked here"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--families", action="store_true", help="the catalog's families as a Markdown table")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    if options.families:
        print(families_table(runtime.catalog.values()))
        return 0
    found = runtime.models()
    if options.json:
        print(json.dumps([model.to_dict() for model in found], indent=2))
        return 0
    for model in found:
        marks = [word for word, true in (("gated", model.gated), ("here", model.on_this_machine)) if true]
        if model.active_parameters < model.parameters:
            marks.insert(0, f"{model.active_parameters / 1e6:,.0f}M active")
        line = f"{model.key:28} {model.kind:9} {model.parameters / 1e6:>9,.0f}M  {model.licence:32} {', '.join(marks)}"
        print(line)
    return 0
