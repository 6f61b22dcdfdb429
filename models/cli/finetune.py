"""`finetune`: one adapter from a file of rows, with progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from ..domain.errors import EngineLost
from ..domain.messages import Progress
from ..domain.settings import Settings
from ..domain.training import RANGES, SETTING_NAMES, RowCounts, TrainingReport, TrainingSettings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..training.finetune import finetune
from .terminal import ProgressLine

_HELP = {
    "rank": "of the two matrices of each linear layer",
    "alpha": "what they are scaled by, divided by the rank",
    "epochs": "how often each row is seen",
    "learning_rate": "at its highest",
    "batch": "rows computed at once",
    "accumulate": "batches that make one step",
    "max_tokens": "longer rows are cut at their ends",
    "held_out": "share of the rows that are only looked at",
    "seed": "of the first matrices, the order and the split",
}


HELP = "train a LoRA adapter on rows of your own"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("base", help="MODEL[@QUANT] that it is for")
    command.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help='JSON lines: {"messages"} or {"prompt", "completion"}'
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder of the adapter")
    defaults = TrainingSettings()
    for name, bounds in RANGES.items():
        command.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if bounds.whole else float,
            default=getattr(defaults, name),
            help=f"{_HELP[name]}; {bounds.low:g} to {bounds.high:g} (%(default)s)",
        )
    command.add_argument(
        "--targets", type=_names, default=defaults.targets, metavar="NAMES", help="linear modules, separated by commas"
    )
    command.add_argument(
        "--quantization", default=defaults.quantization, help="of the base: auto, fp32, bf16, nf4, ... (%(default)s)"
    )
    command.add_argument("--overwrite", action="store_true", help="replace a finished adapter, or another's checkpoint")
    command.add_argument("--json", action="store_true", help="print the report as JSON")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    settings = TrainingSettings(**{name: getattr(options, name) for name in SETTING_NAMES})
    line = ProgressLine()
    base = Variant.parse(options.base)
    with closing(finetune(runtime, base, options.data, options.out, settings, options.overwrite)) as steps:
        try:
            report = _shown(steps, line, settings)
        except KeyboardInterrupt:
            line.clear()
            print("Stopping; the same command goes on after the last whole epoch.", file=sys.stderr, flush=True)
            raise
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        losses = f"held-out loss {report.before:.3f} before, {report.after:.3f} after"
        trained = f"{report.trained_parameters:,} parameters for {report.base}"
        print(f"{options.out}: {trained}, {losses}, {report.seconds:.0f} s")
    return 0


def _shown(
    steps: Iterable[Progress | RowCounts | TrainingReport], line: ProgressLine, settings: TrainingSettings
) -> TrainingReport:
    last = None
    for step in steps:
        match step:
            case TrainingReport():
                line.clear()
                return step
            case RowCounts():
                _say(line, f"{step.sentence(settings.max_tokens)}.")
            case Progress(stage="evaluate", done=done, total=total) if done == total:  # a loss; these lines stay
                if step != last:  # what is last reported comes again while nothing new does
                    _say(line, step.detail)
            case Progress():
                line.show(step)
        last = step
    raise EngineLost


def _say(line: ProgressLine, text: str) -> None:
    line.clear()
    print(text, file=sys.stderr, flush=True)
