"""`finetune`: one adapter from a file of rows, with progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from ..domain.data_sets import ROWS
from ..domain.errors import EngineLost
from ..domain.messages import Progress
from ..domain.settings import Settings
from ..domain.training import METHODS, RANGES, SETTING_NAMES, TrainingReport, TrainingSettings
from ..domain.training_data import NAMES
from ..domain.variant import Variant
from ..runtime import Runtime
from ..training.engine.examples import Span
from ..training.finetune import finetune
from ..training.look import look_at
from .processes import add_processes, count
from .training_lines import PeopleLines, print_event, training_lines

_HELP = {
    "rank": "of the two matrices of each linear layer",
    "alpha": "what they are scaled by, divided by the rank",
    "epochs": "how often each row is seen",
    "patience": "epochs without a lower held-out loss after which it ends and keeps the best; 0: train all",
    "learning_rate": "at its highest; if not given " + ", ".join(f"{r:g} with {m}" for m, r in METHODS.items()),
    "batch": "rows computed at once",
    "accumulate": "batches that make one step",
    "max_tokens": "longer rows are cut at their ends",
    "rows": f"that are read, the first ones; 0: all of a file, {ROWS:,} of a data set",
    "held_out": "share of the rows that are only looked at",
    "seed": "of the first matrices, the order and the split",
}
_DEFAULTS = {"learning_rate": None}  # the method's

HELP = "train a LoRA adapter, or all weights of a small model, on rows of your own"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    base = command.add_mutually_exclusive_group(required=True)
    base.add_argument("base", nargs="?", help="MODEL[@QUANT] that learns, or that the adapter is for")
    base.add_argument(
        "--on", metavar="MODEL+ADAPTERS", help="the base with adapters that act on it, and stay as they are"
    )
    command.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FILE|NAME",
        help="chats, questions with answers, or texts: JSON lines, JSON, CSV, parquet; or a name that `datasets` lists",
    )
    command.add_argument(
        "--column",
        action="append",
        type=_column,
        default=[],
        metavar="NAME=FIELD",
        help=f"how the data names a field; FIELD is one of {', '.join(NAMES)}",
    )
    result = command.add_mutually_exclusive_group(required=True)
    result.add_argument("--out", type=Path, metavar="DIR", help="new folder of the adapter, or of the model")
    result.add_argument(
        "--look", action="store_true", help="train nothing: show the first ten rows as the model will see them"
    )
    defaults = TrainingSettings()
    command.add_argument(
        "--method", default=defaults.method, help="lora: an adapter; full: all weights learn, in fp32 (%(default)s)"
    )
    for name, bounds in RANGES.items():
        command.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if bounds.whole else float,
            default=_DEFAULTS.get(name, getattr(defaults, name)),
            help=f"{_HELP[name]}; {bounds.low:g} to {bounds.high:g}"
            + ("" if name == "learning_rate" else " (%(default)s)"),
        )
    command.add_argument(
        "--targets", type=_names, default=defaults.targets, metavar="NAMES", help="linear modules, separated by commas"
    )
    command.add_argument(
        "--quantization", default=defaults.quantization, help="of the base: auto, fp32, bf16, nf4, ... (%(default)s)"
    )
    add_processes(command, settings)
    command.add_argument(
        "--copies",
        type=count,
        default=0,
        metavar="N",
        help="of the base that the processes hold, each in equal parts (one for each machine)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace a finished adapter, or another's checkpoint")
    command.add_argument("--json", action="store_true", help="print each look and the report as a line of JSON")


def _column(text: str) -> tuple[str, str]:
    name, equals, field = text.rpartition("=")
    if not (name and equals and field in NAMES):
        raise argparse.ArgumentTypeError(f"“{text[:60]}” is not NAME=FIELD with one of {', '.join(NAMES)}")
    return name, field


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    given = {name: value for name in SETTING_NAMES if (value := getattr(options, name)) is not None}
    settings = TrainingSettings(**{"learning_rate": METHODS.get(options.method, METHODS["lora"])} | given)
    lines = training_lines(options.json)
    base = Variant.parse(options.on or options.base)
    columns = dict(options.column)
    if options.look:
        _print_rows(look_at(runtime, base, options.data, settings, PeopleLines().show, columns), lines, options.json)
        return 0
    steps = finetune(
        runtime, base, options.data, options.out, settings, options.overwrite, columns, options.place, options.copies
    )
    with closing(steps):
        try:
            report = _shown(steps, lines)
        except KeyboardInterrupt:
            lines.say("Stopping; the same command goes on after the last whole epoch.")
            raise
    if options.json:
        print_event("done", {"out": str(options.out), **asdict(report)})
    else:
        losses = f"held-out loss {report.before:.3f} before, {report.after:.3f} after"
        below = "".join(f"+{name}" for name in report.on)
        trained = f"{report.trained_parameters:,} parameters for {report.base}{below}"
        print(f"{options.out}: {trained}, {losses}, {report.seconds:.0f} s")
    return 0


def _print_rows(rows: list[list[Span]], lines: PeopleLines, as_json: bool) -> None:
    """What is learned in green on a terminal, elsewhere between ⟦ and ⟧."""
    lines.clear()
    if as_json:
        print(json.dumps([[asdict(span) for span in row] for row in rows], ensure_ascii=False, indent=2))
        return
    before, after = ("\033[32m", "\033[0m") if sys.stdout.isatty() else ("⟦", "⟧")
    for number, row in enumerate(rows, 1):
        print(f"--- row {number}")
        print("".join(f"{before}{span.text}{after}" if span.learned else span.text for span in row))


def _shown(steps: Iterable[Progress | TrainingReport], lines: PeopleLines) -> TrainingReport:
    for step in steps:
        if isinstance(step, TrainingReport):
            lines.clear()
            return step
        lines.show(step)
    raise EngineLost
