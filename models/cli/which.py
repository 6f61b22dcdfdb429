"""`which`: which models of a family run on which GPU, in which mode."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..domain.errors import BadContext, UnknownModel
from ..domain.memory.hardware import COMMON, table, which_fit
from ..domain.settings import Settings
from ..runtime import Runtime

HELP = "which models of a family run on which GPU, in which mode"
MODES = ("fp32", "bf16", "int8", "nf4", "gptq", "awq", "gguf-q8_0", "gguf-q4_k_m")


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("family", nargs="?", default="Llama 2", help="as `models` groups them (%(default)s)")
    command.add_argument("--context", type=int, default=4096, help="tokens (%(default)s)")
    command.add_argument(
        "--on", action="append", metavar="HARDWARE", help="of these machines instead; may be repeated, a number is GB"
    )
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    family = [card for card in runtime.catalog.values() if card.family == options.family and card.shape]
    cards = [card for card in family if card.kind == "instruct"] or family
    if not cards:
        families = ", ".join(dict.fromkeys(card.family for card in runtime.catalog.values()))
        raise UnknownModel(model=options.family, suggestion=f"The families are {families}.")
    if not 1 <= options.context <= max(card.context for card in cards):
        raise BadContext(value=options.context, limit=max(card.context for card in cards))
    fits = which_fit(cards, MODES, options.on or COMMON, context=options.context)
    rows = [asdict(fit) | {"fits": fit.fits, "gpus": fit.gpus} for fit in fits]
    print(json.dumps(rows, indent=2) if options.json else table(fits))
    return 0
