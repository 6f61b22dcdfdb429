"""From the name of an adapter to its checked file: the table, the operator's folder, uploads, the Hub and its cache."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...domain.adapters import FoundAdapter, ListedAdapter, adapters_of, load_adapters
from ...domain.catalog import ModelCard
from ...domain.errors import (
    AdapterRefused,
    CorruptWeights,
    HubIdsNotAllowed,
    HubUnreachable,
    UnknownAdapter,
    VariantError,
)
from ...domain.messages import Progress
from ...domain.settings import Settings
from ...domain.snapshot import Adapter
from ...domain.variant import AdapterChoice
from .. import faults
from ..hub import access, reach, revisions
from ..hub import client as hub
from ..places import operators_folders
from ..sharing import Reporter, turn
from ..verify.safetensors_header import read_layout
from . import checks as adapter_checks
from . import places as adapter_places
from . import uploads
from .bases import Base, base_of
from .checks import CONFIG, WEIGHTS
from .places import Source

FOUND_ON_HUB = 20


def find(name: str, card: ModelCard, settings: Settings, token: str | None = None) -> Adapter:
    """What is known of an adapter for this base; its `file` is set when it is here and was checked in full.

    Of one that is only on the Hub no more than its config and the header of its weights are read, and noted.
    Raises UnknownAdapter, AdapterRefused, ModelIsAPath, BadSpelling, HubIdsNotAllowed, GatedModel, NotOnHub,
    HubUnreachable, CorruptWeights.
    """
    return _resolve(name, card, settings, Reporter(name, lambda progress: None, lambda: False), token, whole=False)


def fetch(
    name: str,
    card: ModelCard,
    settings: Settings,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
    token: str | None = None,
) -> Adapter:
    """The same, downloaded if need be and checked in full; progress counts bytes.

    Raises DiskFull, DownloadFailed and DownloadCancelled too.
    """
    return _resolve(name, card, settings, Reporter(name, on_progress, cancelled), token, whole=True)


def listed(card: ModelCard, settings: Settings) -> list[ListedAdapter]:
    """The adapters that can be picked by name for this base: the table's, then those of the operator's folder.

    Of the latter only the config is read, and the header where it names another base; damaged ones are left out.
    """
    base = base_of(card)
    taken = {entry.key for entry in load_adapters()}
    own = [entry for entry in _operators(base, settings) if entry.key not in taken]
    return [*adapters_of(replace(card, hub_id=base.name)), *own]


def search(card: ModelCard, settings: Settings, token: str | None = None) -> list[FoundAdapter]:
    """The Hub's adapters that are registered for this base, most downloaded first; none where it is out of reach."""
    if not settings.hub_ids or not reach.hub_reachable(settings):
        return []
    base = base_of(card).name
    reporter = Reporter(base, lambda progress: None, lambda: False)
    with faults.translated(base, settings.cache), suppress(HubUnreachable):
        found = hub.adapters_for(base, FOUND_ON_HUB, settings, reporter, token)
        return [FoundAdapter(**entry) for entry in found if _is_spelled(entry["hub_id"])]
    return []


def _resolve(
    name: str, card: ModelCard, settings: Settings, reporter: Reporter, token: str | None, whole: bool
) -> Adapter:
    AdapterChoice(name)  # a name that could not be spelled, or that leaves a folder, ends here
    base = base_of(card)
    with faults.translated(name, settings.cache):
        source = _source(name, card, base, settings)
        if source.folder is None:
            return _of_repo(source, name, base, settings, reporter, token, whole)
        try:
            return adapter_places.accept(source.folder, name, base, settings, reporter)
        except (AdapterRefused, FileNotFoundError):
            if source.folder.is_dir():
                raise
            raise _unknown(name, card, settings) from None  # an upload that had to go meanwhile


def _source(name: str, card: ModelCard, base: Base, settings: Settings) -> Source:
    entry = next((entry for entry in load_adapters() if name in (entry.key, entry.hub_id)), None)
    if entry is not None:
        return _table_source(name, entry, card, base)
    repo, _, revision = name.partition("=")
    if "/" not in repo:
        if settings.adapters_dir and (folder := Path(settings.adapters_dir, name)).is_dir():
            return Source(folder)
        if (upload := uploads.folder_of(name, settings)) is not None:
            return Source(upload)
        raise _unknown(name, card, settings)
    if not settings.hub_ids:
        raise HubIdsNotAllowed(model=name)
    own = operators_folders(name, repo, settings)
    if own and (own[0] / CONFIG).is_file():
        return Source(own[0])
    return Source(None, repo, revision or None)


def _table_source(name: str, entry: ListedAdapter, card: ModelCard, base: Base) -> Source:
    if entry.base != base.name:
        raise UnknownAdapter(adapter=name, model=card.key, suggestion=f"It was made for {entry.base}; pick that model.")
    if not entry.folder:
        return Source(None, entry.hub_id, entry.revision)
    folder = adapter_places.FINETUNED / entry.folder
    if not folder.is_dir():
        missing = f"Its files should lie in models/finetuned/{entry.folder}, which this copy of the app does not have."
        raise UnknownAdapter(adapter=name, model=card.key, suggestion=missing)
    return Source(folder)


def _of_repo(
    source: Source, name: str, base: Base, settings: Settings, reporter: Reporter, token: str | None, whole: bool
) -> Adapter:
    if access.is_restricted(settings, source.repo):
        hub.prove_access(source.repo, settings, reporter, token)
    if not whole:
        known = _cached(source, name, base, settings, reporter)
        known = known or adapter_places.known_on_hub(source, name, base, settings)
        return known or _ask_hub(source, name, base, settings, reporter, token, whole)
    folder = adapter_places.in_hub_cache(source, settings)
    known = adapter_places.known_good(folder, name, base, settings, hub.cache_folder()) if folder else None
    if known is not None:
        return known
    with turn(settings, reporter):
        known = _cached(source, name, base, settings, reporter)  # somebody else may have fetched it meanwhile
        return known or _ask_hub(source, name, base, settings, reporter, token, whole)


def _cached(source: Source, name: str, base: Base, settings: Settings, reporter: Reporter) -> Adapter | None:
    folder = adapter_places.in_hub_cache(source, settings)
    if folder is None or not (folder / WEIGHTS).is_file():
        return None
    found = adapter_places.accept(folder, name, base, settings, reporter, source.repo)
    if not revisions.pinned_commit(settings, source.repo, source.revision):
        revisions.record(settings, source.repo, source.revision, folder.name)
    return found


def _ask_hub(
    source: Source, name: str, base: Base, settings: Settings, reporter: Reporter, token: str | None, whole: bool
) -> Adapter:
    if not reach.hub_reachable(settings):
        raise HubUnreachable(model=name)

    def ask(commit: str | None) -> dict[str, Any]:
        wanted: dict[str, Any] = {"adapter": name, "base": base.to_dict(), "whole": whole}
        wanted |= {"largest": adapter_places.largest(settings)}
        return hub.adapter(source.repo, commit, wanted, settings, reporter, token)

    facts = revisions.ask_for(settings, source.repo, source.revision, ask)
    noted = {key: facts[key] for key in ("adapter_bytes", "adapter_parameters")}
    revisions.record(settings, source.repo, source.revision, facts["commit"], **noted)
    folder = hub.repo_folder(source.repo) / "snapshots" / facts["commit"]
    if whole:
        return adapter_places.accept(folder, name, base, settings, reporter, source.repo)
    with adapter_checks.refusals(name):
        config = adapter_checks.read_config(folder, name, base)
    warning = adapter_checks.warning(config, base)
    return Adapter(name, config, facts["adapter_parameters"], warning=warning)


def _operators(base: Base, settings: Settings) -> Iterator[ListedAdapter]:
    root = Path(settings.adapters_dir)
    for folder in sorted(root.iterdir()) if settings.adapters_dir and root.is_dir() else ():
        if "/" in folder.name or not _is_spelled(folder.name) or not (folder / WEIGHTS).is_file():
            continue
        with suppress(AdapterRefused, CorruptWeights, OSError):
            config = adapter_checks.read_config(folder, folder.name, base)
            if adapter_checks.warning(config, base):
                tensors = read_layout(folder / WEIGHTS, adapter_checks.LONGEST_HEADER)
                adapter_checks.check_tensors(tensors, config, folder.name, base)
            title = folder.name.replace("-", " ").replace("_", " ")
            yield ListedAdapter(folder.name, title, config.base, folder=folder.name)


def _unknown(name: str, card: ModelCard, settings: Settings) -> UnknownAdapter:
    if uploads.is_upload(name):
        suggestion = "An adapter that was brought is dropped when nobody uses it for a day; bring it again."
    else:
        near = difflib.get_close_matches(name.lower(), [entry.key for entry in listed(card, settings)], 3, 0.5)
        suggestion = f"Did you mean {' or '.join(near)}?" if near else "Pick one from the list of this model."
    return UnknownAdapter(adapter=name, model=card.key, suggestion=suggestion)


def _is_spelled(name: str) -> bool:
    try:
        AdapterChoice(name)
    except VariantError:
        return False
    return True
