"""`pretrain`: a model of our own from documents, its losses as they fall."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from ..domain.errors import EngineLost
from ..domain.pretraining import (
    PRECISIONS,
    RANGES,
    SIZES,
    STORIES,
    PretrainingReport,
    PretrainingSettings,
)
from ..domain.settings import Settings
from ..runtime import Runtime
from ..training.pretrain import SVG, pretrain
from .training_lines import print_event, training_lines

HELP = "train a small Llama of your own from documents, or from stories that are written for it"
_NUMBERS = {
    "documents": "that are read at the most; 0: all of a file, 20,000 of the stories",
    "vocabulary": "tokens of the BPE",
    "batch": "documents of a step; 0: as the size has it",
    "learning_rate": "at its highest; 0: as the size has it",
    "max_tokens": "of a document; longer ones are left out",
    "held_out": "share of the documents that are only looked at",
    "seed": "of the first weights, the order and the stories",
}


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    defaults = PretrainingSettings()
    command.add_argument("--size", default=defaults.size, help=f"{', '.join(SIZES)} (%(default)s)")
    command.add_argument(
        "--data",
        default=STORIES,
        metavar="PATH|NAME",
        help="text, JSON lines, CSV or parquet, a folder of them, stories or tinystories (%(default)s)",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder of the model")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--tokens", type=int, default=0, metavar="N", help="to learn from")
    length.add_argument("--minutes", type=float, default=defaults.minutes, metavar="M", help="to learn (%(default)g)")
    command.add_argument("--tokenizer", default=defaults.tokenizer, metavar="MODEL", help="bpe, or that of a model")
    command.add_argument("--precision", default=defaults.precision, help=f"{', '.join(PRECISIONS)} (%(default)s)")
    for name, text in _NUMBERS.items():
        bounds = RANGES[name]
        command.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if bounds.whole else float,
            default=getattr(defaults, name),
            help=f"{text}; {bounds.low:g} to {bounds.high:g} (%(default)s)",
        )
    command.add_argument("--json", action="store_true", help="print each look and the report as a line of JSON")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    names = (*_NUMBERS, "size", "tokens", "minutes", "tokenizer", "precision")
    settings = PretrainingSettings(**{name: getattr(options, name) for name in names})
    out = options.out.expanduser().absolute()
    lines = training_lines(options.json)
    report = None
    with closing(pretrain(runtime, settings, options.data, out)) as steps:
        try:
            for step in steps:
                if isinstance(step, PretrainingReport):
                    report = step
                else:
                    lines.show(step)
        except KeyboardInterrupt:
            lines.say("Stopping after this step; the same command goes on from there.")
            raise
    lines.clear()
    if report is None:
        raise EngineLost
    if options.json:
        print_event("done", {"out": str(out), **asdict(report)})
        return 0
    speed = f"{report.tokens_per_s:,.0f} tokens/s, {100 * report.peak:.0f} % of the matmul peak"
    print(
        f"{options.out}: {report.parameters:,} parameters, {report.tokens:,} tokens in {report.steps:,} steps, {speed}"
    )
    print(f"held-out loss {report.before:.3f} before, {report.after:.3f} after; curves in {options.out / SVG}")
    if report.settings.shape.kind == "llama":
        print(f'python -m models complete "Once upon a time" --variant {options.out}@fp32', file=sys.stderr)
    return 0
