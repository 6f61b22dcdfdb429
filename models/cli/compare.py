"""`compare`: one prompt to several variants, the answers as they come, then the figures of all."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from ..domain.errors import EngineLost
from ..domain.messages import BOUNDS, Delta, Progress, Sampling
from ..domain.request import REFERENCE_TEXT, CompareRequest
from ..domain.results.comparison import Compared, Comparison
from ..domain.results.contenders import contenders
from ..domain.results.file import to_json
from ..domain.results.report import figures, to_csv, to_markdown
from ..domain.results.suggestion import TOLERANCE, suggest
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..studies.compare import compare
from ..system.encodings import json_for_output, typed
from .terminal import ProgressLine, read_text

HELP = "one prompt to several variants, with speed, memory and quality"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("prompt", type=typed, help="- reads it from stdin")
    command.add_argument("variants", nargs="+", metavar="VARIANT", help=f"2 to {settings.compared} of them")
    command.add_argument("--system", type=typed, default="", help="system prompt")
    command.add_argument("--reference", default="", help="the variant that the others are held against (the first)")
    command.add_argument(
        "--distance", type=_share, default=TOLERANCE, help="from its quality that is good enough, a share"
    )
    command.add_argument("--no-quality", action="store_true", help="answers, speed and memory only")
    command.add_argument("--one-pass", action="store_true", help="adapters of one base as one batch: faster together")
    command.add_argument("--max-new-tokens", type=int, default=min(128, settings.max_new_tokens), help="(%(default)s)")
    command.add_argument(
        "--temperature", type=float, default=0.0, help=f"0 to {BOUNDS['temperature'].high:g} (0: greedy)"
    )
    command.add_argument("--seed", type=int)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the whole, which the page can open again")
    form.add_argument("--markdown", action="store_true")
    form.add_argument("--csv", action="store_true")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 10:  # NaN is within no bounds
        raise argparse.ArgumentTypeError("it is a share from 0 to 10, such as 0.05")
    return value


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    found = contenders(options.variants, runtime.settings.compared)
    for reason in found.left_out.values():
        print(reason, file=sys.stderr)
    prompt = read_text(options.prompt)
    request = CompareRequest.of(
        found.variants,
        prompt,
        options.system,
        sampling=Sampling(options.max_new_tokens, options.temperature, seed=options.seed),
        reference=Variant.parse(options.reference) if options.reference else found.variants[0],
        text="" if options.no_quality else REFERENCE_TEXT,
        one_pass=options.one_pass,
    )
    whole = _compared(runtime, request)
    for write, wanted in ((to_json, options.json), (to_markdown, options.markdown), (to_csv, options.csv)):
        if wanted:
            print(json_for_output(write(whole)) if write is to_json else write(whole))
            return _status(whole)
    for column in whole.columns:
        print(f"\n== {column.resolved or column.variant}\n{column.error or column.answer}")
    print(f"\n{figures(whole)}")
    if suggestion := suggest(whole.columns, whole.reference, options.distance):
        print(f"\n{suggestion.sentence} {suggestion.rule}")
    return _status(whole)


def _compared(runtime: Runtime, request: CompareRequest) -> Comparison:
    """The whole, its progress on stderr."""
    line, names = ProgressLine(), [str(variant) for variant in request.variants]
    with closing(compare(runtime, request)) as steps:
        for step in steps:
            if isinstance(step, Comparison):
                line.clear()
                return step
            match step.event:
                case Progress():
                    line.show(step.event)
                case Delta(usage=usage) if usage.finish:
                    line.clear()
                    print(f"{names[step.column]}: {usage.decode_tokens_per_s:.1f} tok/s", file=sys.stderr)
                case Compared(error=error) if error:
                    line.clear()
                    print(f"{names[step.column]}: {error}", file=sys.stderr)
    raise EngineLost


def _status(found: Comparison) -> int:
    """0 when any variant answered."""
    return 1 if all(column.error for column in found.columns) else 0
