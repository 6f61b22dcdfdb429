"""`measure`: memory, speed and quality of the modes of a model."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict

from ..domain.errors import BadModes
from ..domain.results.measured import Measured
from ..domain.results.tables import modes_to_csv, modes_to_markdown
from ..domain.settings import Settings
from ..runtime import Runtime
from ..studies.measure import NEW_TOKENS, measure
from .terminal import ProgressLine, read_file

HELP = "memory, speed and quality of the modes of a model"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("model")
    command.add_argument("--modes", default="", help="separated by commas; left out: all that run here")
    command.add_argument("--reference", default="", help="the mode that the others are held against")
    command.add_argument("--text", default="", metavar="FILE", help="to be scored instead of our own; - is stdin")
    longest = min(NEW_TOKENS, settings.max_new_tokens)
    command.add_argument("--new-tokens", type=int, default=longest, help="of the answer that is timed (%(default)s)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="whole figures for programs instead of a Markdown table")
    form.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    modes = [mode.strip() for mode in options.modes.split(",") if mode.strip()]
    rows, line = [], ProgressLine()
    text = _read(options.text) if options.text else ""
    with closing(measure(runtime, options.model, modes, text, options.reference, options.new_tokens)) as events:
        for event in events:
            if isinstance(event, Measured):
                rows.append(event)
            else:
                line.show(event)
    line.clear()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(modes_to_csv(rows) if options.csv else modes_to_markdown(rows), end="")
    for note in sorted({f"{row.variant} was {row.note}." for row in rows if row.note}):
        print(note, file=sys.stderr)
    return 0 if any(not row.error for row in rows) else 1


def _read(name: str) -> str:
    try:
        return read_file(name)
    except OSError as error:
        raise BadModes(reason=f"the text {name[:80]} cannot be read ({error.strerror})") from None
