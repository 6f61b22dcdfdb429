"""`trainings`: those that the page began, where each is; one of them stopped, gone on with, removed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from ..domain.settings import Settings
from ..runtime import Runtime
from ..training.runs import told
from ..training.runs.trainings import ACTS, Training, Trainings
from .terminal import print_table

HELP = "the trainings of the page: where each is; stop, finish, go on with or remove one"
_SAID = {
    "stop": "end it, and keep its last whole epoch",
    "finish": "end it after this step, with what it has learned",
    "go-on": "continue one that was stopped or interrupted",
    "remove": "forget it with its checkpoints; a finished adapter stays",
}


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("name", nargs="?", help="one of them, with its curves in the JSON; all when left out")
    acts = command.add_mutually_exclusive_group()
    for act in ACTS:
        acts.add_argument(f"--{act}", dest="act", action="store_const", const=act, help=_SAID[act])
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    trainings = Trainings(runtime.settings)
    if options.name is None:
        if options.act:
            print(f"paddock: name the training to --{options.act}", file=sys.stderr)
            return 1
        found = trainings.all()
        _print(found, [told.brief(each) for each in found], options.json)
        return 0
    one = trainings.one(options.name)
    if options.act:
        trainings.act(options.act, options.name)
    if options.act != "remove":
        one = trainings.one(options.name)
    _print([one], told.whole(one), options.json)
    return 0


def _print(found: Sequence[Training], data: object, as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, indent=2, ensure_ascii=False))
        return
    table = [("name", "base", "status", "step", "loss", "held out", "tokens/s", "left")]
    for each in map(told.brief, found):
        step = f"{each['step']:,} of {each['steps']:,}" if each["steps"] else f"{each['step']:,}"
        losses = ["" if each[name] is None else f"{each[name]:.3f}" for name in ("loss", "held_out")]
        pace = f"{each['tokens_per_s']:,.0f}" if each["tokens_per_s"] else ""
        left = f"{each['seconds_left'] / 60:.1f} min" if each["seconds_left"] else ""
        table.append((each["name"], each["base"], each["status"], step, *losses, pace, left))
    print_table(table)
    for one in found:
        if one.error:
            print(f"{one.asked.name}: {one.error}", file=sys.stderr)
