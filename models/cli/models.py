"""`models`: what can be picked here."""

from __future__ import annotations

import argparse
import json

from ..domain.settings import Settings
from ..runtime import Runtime

HELP = "what can be picked here"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    found = runtime.models()
    if options.json:
        print(json.dumps([model.to_dict() for model in found], indent=2))
        return 0
    for model in found:
        marks = [word for word, true in (("gated", model.gated), ("here", model.on_this_machine)) if true]
        line = f"{model.key:28} {model.kind:9} {model.parameters / 1e6:>9,.0f}M  {model.licence:32} {' '.join(marks)}"
        print(line)
    return 0
