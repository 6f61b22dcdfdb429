"""`datasets`: open data sets that `finetune` reads from the Hub by a short name."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..domain.data_sets import data_sets
from ..domain.settings import Settings
from ..runtime import Runtime
from .terminal import print_table

HELP = "open data sets that `finetune --data NAME` reads from the Hub"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    found = data_sets().values()
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
        return 0
    table = [("name", "rows", "languages", "form", "licence", "on the Hub")]
    table += [(e.name, f"{e.rows:,}", e.languages, e.form, e.licence, e.hub_id) for e in found]
    print_table(table)
    return 0
