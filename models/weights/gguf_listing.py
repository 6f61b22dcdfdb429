"""Every GGUF file of a model that its repository holds, as the Hub lists them; the catalog names a few."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from ..domain.catalog import ModelCard
from ..domain.errors import WeightsError
from ..domain.quantization import mode_named
from ..domain.settings import Settings
from ..system.files import read_json
from . import fetch_errors
from .hub import access
from .hub import client as hub
from .sharing import Visit, shared_table

TABLE = "gguf_files"
FRESH_S = 86_400.0  # a list is asked for anew after so long, and sooner where it lacks what somebody names
LACKING_S = 600.0
_asking: dict[str, threading.Thread] = {}  # by repository


@dataclass(frozen=True)
class _Kept:
    """Bytes by name, and the time of day at which the Hub listed them."""

    sizes: dict[str, int]
    asked: float

    def is_younger(self, seconds: float) -> bool:
        return 0 <= time.time() - self.asked < seconds


NOTHING = _Kept({}, float("-inf"))


def with_listed(card: ModelCard, mode: str, settings: Settings, token: str | None) -> ModelCard:
    """The card with all files of its GGUF repository, as far as they are known here.

    The Hub is asked for them only where a mode names a label that is not known; raises nothing.
    """
    if card.gguf is None:
        return card
    found = _with(card, kept := _kept(card, settings))
    lacks = mode.startswith("gguf-") and mode_named(mode, found) is None
    if lacks and not kept.is_younger(LACKING_S) and access.hub_reachable(settings):
        _ask(card, settings, token)
        found = _with(card, _kept(card, settings))
    return found


def look_up(card: ModelCard, settings: Settings, wait_s: float) -> None:
    """Have the Hub asked which files there are, unless it was within a day; waits for the answer for so long."""
    if card.gguf is None or access.known_unreachable() or _kept(card, settings).is_younger(FRESH_S):
        return

    def ask() -> None:
        if access.hub_reachable(settings):
            _ask(card, settings, None)

    thread = _asking.get(key := _key(card))
    if thread is None or not thread.is_alive():
        thread = _asking[key] = threading.Thread(target=ask, name="gguf-listing", daemon=True)
        thread.start()
    thread.join(wait_s)


def _ask(card: ModelCard, settings: Settings, token: str | None) -> None:
    assert card.gguf is not None
    with suppress(WeightsError), fetch_errors.translated(card.key, settings.cache):
        there = hub.file_sizes(card.gguf.repo, card.gguf.revision, Visit(card.key, settings, token))
        sizes = {name: size for name, size in there.items() if name.endswith(".gguf")}
        with shared_table(settings, TABLE) as table:
            table[_key(card)] = {"asked": time.time(), "sizes": sizes}


def _key(card: ModelCard) -> str:
    assert card.gguf is not None
    return f"{card.gguf.repo}={card.gguf.revision or ''}"


def _kept(card: ModelCard, settings: Settings) -> _Kept:
    kept = read_json(settings.cache / f"{TABLE}.json").get(_key(card))
    match kept:
        case {"asked": int() | float() as asked, "sizes": dict() as sizes}:
            if all(isinstance(size, int) for size in sizes.values()):
                return _Kept(sizes, asked)
    return NOTHING


def _with(card: ModelCard, kept: _Kept) -> ModelCard:
    return replace(card, gguf=card.gguf.among(kept.sizes)) if card.gguf and kept.sizes else card
