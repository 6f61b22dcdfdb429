"""`measure`: `compare MODEL --all-modes` by another name, for chosen modes."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..domain.messages import Sampling
from ..domain.quantization import mode_named, modes_of
from ..domain.request import CompareRequest
from ..domain.results.report import to_csv
from ..domain.results.suggestion import TOLERANCE
from ..domain.settings import Settings
from ..domain.variant import AUTO, Variant
from ..runtime import Runtime
from ..studies.compare import QUESTION, RUNS, all_quantizations
from .compare import add_text, chosen, compared, print_figures, scored_text, status

HELP = "the quantizations of a model: the same as compare MODEL --all-modes"
NEW_TOKENS = 64


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("model")
    command.add_argument("--modes", default="", help="separated by commas; left out: all that run here")
    command.add_argument("--reference", default="", help="the mode that the others are compared with (the most exact)")
    add_text(command)
    longest = min(NEW_TOKENS, settings.max_new_tokens)
    command.add_argument("--new-tokens", type=int, default=longest, help="of the answer (%(default)s)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="whole figures for programs instead of a Markdown table")
    form.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    model = Variant(options.model)
    variants = chosen(_spellings(runtime, model, options.modes, options.reference), least=1)
    request = CompareRequest.of(
        variants,
        QUESTION,
        sampling=Sampling(options.new_tokens, temperature=0),
        reference=model.resolved(options.reference) if options.reference else variants[0],
        text=scored_text(options.text),
        runs=RUNS,
    )
    whole = compared(runtime, request)
    if options.json:
        print(json.dumps([asdict(column.known) | {"error": column.error} for column in whole.columns], indent=2))
    elif options.csv:
        print(to_csv(whole), end="")
    else:
        print_figures(whole, TOLERANCE)
    return status(whole)


def _spellings(runtime: Runtime, model: Variant, modes: str, reference: str) -> list[str]:
    """What was asked for and the reference, the most exact first; raises ModeNotPossible for an unknown mode."""
    card, named = runtime.card(model), [name for mode in modes.split(",") if (name := mode.strip())]
    for name in (*named, *([reference] if reference else [])):
        if name != AUTO and mode_named(name, card) is None:
            runtime.resolve(model.resolved(name), card)  # says which there are
    order = [*(mode.name for mode in modes_of(card)), AUTO]

    def place(name: str) -> int:
        return order.index(name.partition("/")[0])

    found = [str(model.resolved(name)) for name in sorted(dict.fromkeys(named), key=place)]
    found = found or all_quantizations(runtime, model)
    against = str(model.resolved(reference or AUTO))
    return found if not reference or against in found else [*found, against]
