"""`compare`: one prompt to several variants, or to all quantizations of a model: answers, then the figures of all."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from ..domain.errors import BadComparisonRequest, EngineLost
from ..domain.messages import BOUNDS, Delta, Progress, Sampling
from ..domain.request import AS_TEXT, MOST_PROMPTS, REFERENCE_TEXT, BasePrompt, CompareRequest, read_prompts
from ..domain.results.comparison import MOST_COLUMNS, Compared, Comparison, without_thoughts
from ..domain.results.contenders import contenders
from ..domain.results.figures import speed_text
from ..domain.results.file import to_json
from ..domain.results.report import figures, to_csv, to_markdown
from ..domain.results.suggestion import TOLERANCE, suggest
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..studies.compare import QUESTION, RUNS, all_quantizations, compare
from ..system.encodings import json_for_output, typed
from .answering import add_thinking, read_thinking
from .terminal import ProgressLine, read_file, read_text

HELP = "one prompt to several variants, with speed, memory and quality"
USAGE = """%(prog)s [OPTION]... PROMPT VARIANT VARIANT...
       %(prog)s [OPTION]... --prompts FILE VARIANT VARIANT...
       %(prog)s [OPTION]... [PROMPT] MODEL --all-modes"""


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.usage = USAGE
    command.add_argument("words", nargs="+", type=typed, metavar="PROMPT VARIANT", help="a prompt of - is stdin")
    command.add_argument("--all-modes", action="store_true", help="all quantizations of one model that run here")
    command.add_argument(
        "--prompts", default="", metavar="FILE", help=f"up to {MOST_PROMPTS} prompts, one a line, in place of PROMPT"
    )
    command.add_argument("--system", type=typed, default="", help="system prompt")
    command.add_argument(
        "--complete", action="store_true", help="base models continue the prompt as a text, instead of answering it"
    )
    command.add_argument("--reference", default="", help="the variant that the others are compared with (the first)")
    command.add_argument(
        "--distance", type=_share, default=TOLERANCE, help="acceptable loss of its quality, a share (%(default)s)"
    )
    command.add_argument(
        "--no-quality", action="store_true", help="answers and memory only: no quality, and speeds of one run"
    )
    add_text(command)
    command.add_argument("--one-pass", action="store_true", help="adapters of one base as one batch: faster together")
    command.add_argument("--max-new-tokens", type=int, default=min(128, settings.max_new_tokens), help="(%(default)s)")
    command.add_argument(
        "--temperature", type=float, default=0.0, help=f"0 to {BOUNDS['temperature'].high:g} (0: greedy)"
    )
    command.add_argument("--seed", type=int)
    add_thinking(command, settings)
    command.add_argument("--thoughts", action="store_true", help="with --json: what was thought before the answers too")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the whole, which the page can open again")
    form.add_argument("--markdown", action="store_true")
    form.add_argument("--csv", action="store_true")


def add_text(command: argparse.ArgumentParser) -> None:
    """Add --text."""
    command.add_argument("--text", default="", metavar="FILE", help="to be scored instead of our own; - is stdin")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 10:  # NaN is within no bounds
        raise argparse.ArgumentTypeError("it is a share from 0 to 10, such as 0.05")
    return value


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    prompts, spellings = _asked(runtime, options)
    request = CompareRequest.of(
        variants := chosen(spellings, least=1 if options.all_modes else 2),
        prompts or QUESTION,
        options.system,
        sampling=Sampling(options.max_new_tokens, options.temperature, seed=options.seed),
        reference=Variant.parse(options.reference) if options.reference else variants[0],
        text="" if options.no_quality else scored_text(options.text),
        base_prompt=AS_TEXT if options.complete else BasePrompt(),
        one_pass=options.one_pass,
        runs=1 if options.no_quality else RUNS,
        thinking=read_thinking(options),
    )
    whole = compared(runtime, request)
    whole = whole if options.thoughts else without_thoughts(whole)
    for write, wanted in ((to_json, options.json), (to_markdown, options.markdown), (to_csv, options.csv)):
        if wanted:
            print(json_for_output(write(whole)) if write is to_json else write(whole))
            return status(whole)
    if prompts:
        for column in whole.columns:
            print(f"\n== {column.resolved or column.variant}")
            for question, answer in column.pairs:
                print(f"\n> {question}\n{answer}" if whole.independent else column.error or answer)
        print()
    print_figures(whole, options.distance)
    return status(whole)


def _asked(runtime: Runtime, options: argparse.Namespace) -> tuple[tuple[str, ...], list[str]]:
    """The prompts, none where a model is measured without one, and the spellings of the variants."""
    words = options.words
    if options.prompts:
        prompts, spellings = read_prompts(_file(options.prompts)), words
    else:
        count = len(words) - 1 if options.all_modes else 1
        prompts, spellings = tuple(map(read_text, words[:count])), words[count:]
    if options.all_modes:
        if len(spellings) > 1 or (len(prompts) > 1 and not options.prompts):
            raise BadComparisonRequest(reason="--all-modes takes one model")
        return prompts, all_quantizations(runtime, Variant.parse(spellings[0]))
    return prompts, spellings


def chosen(spellings: list[str], least: int) -> tuple[Variant, ...]:
    """The variants that are compared; on stderr, why others are not. Raises BadComparisonRequest and others."""
    found = contenders(spellings, MOST_COLUMNS, least)
    for reason in found.left_out.values():
        print(reason, file=sys.stderr)
    return found.variants


def scored_text(name: str) -> str:
    """The text of a file, or our own; raises BadComparisonRequest."""
    text = _file(name) if name else ""
    return text if text.strip() else REFERENCE_TEXT


def _file(name: str) -> str:
    try:
        return read_file(name)
    except OSError as error:
        raise BadComparisonRequest(reason=f"the text {name[:80]} cannot be read ({error.strerror})") from None


def compared(runtime: Runtime, request: CompareRequest) -> Comparison:
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
                    print(
                        f"{names[step.column]}: {speed_text(usage.decode_tokens_per_s, usage.new_tokens)}",
                        file=sys.stderr,
                    )
                case Compared(error=error) if error:
                    line.clear()
                    print(f"{names[step.column]}: {error}", file=sys.stderr)
    raise EngineLost


def print_figures(whole: Comparison, distance: float) -> None:
    """The table and what to choose; on stderr, what was done otherwise than usual."""
    print(figures(whole))
    if suggestion := suggest(whole.columns, whole.reference, distance):
        print(f"\n{suggestion.sentence} {suggestion.rule}")
    for note in dict.fromkeys(f"{c.variant}: {c.figures.note.rstrip('.')}." for c in whole.columns if c.figures.note):
        print(note, file=sys.stderr)


def status(found: Comparison) -> int:
    """0 when any variant answered."""
    return 1 if all(column.error for column in found.columns) else 0
