"""`check`: the entries of the catalog against the Hub."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from ..domain.catalog import ModelCard
from ..domain.errors import NothingCompared, NotOnHub, WeightsError
from ..domain.settings import Settings
from ..runtime import Runtime
from ..weights.catalog_check import Difference, differences

HELP = "compare the catalog with the Hub: 0 where nothing differs, else 1"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("model", nargs="*", help="of these entries only")
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    from huggingface_hub import get_token

    cards = [runtime.catalog[key] for key in options.model] or list(runtime.catalog.values())
    said = {card.key: _compared(card, runtime.settings, get_token()) for card in cards if card.remote is None}
    if options.json:
        rows = {
            key: found if isinstance(found, str) else [one._asdict() for one in found] for key, found in said.items()
        }
        print(json.dumps(rows, indent=2))
    else:
        for key, found in said.items():
            for line in [f"not compared: {found}"] if isinstance(found, str) else map(_line, found):
                print(f"{key:32} {line}")
        counts = Counter("not compared" if isinstance(found, str) else bool(found) for found in said.values())
        print(f"{counts[False]} as on the Hub, {counts[True]} differ, {counts['not compared']} not compared")
    return int(any(found and not isinstance(found, str) for found in said.values()))


def _compared(card: ModelCard, settings: Settings, token: str | None) -> list[Difference] | str:
    """What differs, or why that cannot be said, as where a licence has to be accepted first."""
    try:
        return differences(card, settings, token)
    except NothingCompared:
        raise
    except NotOnHub:
        return [Difference("repository", card.hub_id, "there is none")]
    except WeightsError as error:
        return str(error)


def _line(one: Difference) -> str:
    return f"{one.field}: {one.ours} here, {one.theirs} on the Hub"
