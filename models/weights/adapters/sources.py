"""From the name of an adapter to its checked file: the table, the operator's folder, uploads, the Hub and its cache."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from ...domain.adapters import FoundAdapter, ListedAdapter, adapters_of, is_upload, load_adapters
from ...domain.catalog import ModelCard
from ...domain.errors import (
    AdapterRefused,
    CorruptWeights,
    HubIdsNotAllowed,
    HubUnreachable,
    PaddockError,
    UnknownAdapter,
    VariantError,
)
from ...domain.load import Adapter
from ...domain.messages import Progress
from ...domain.settings import Settings
from ...domain.variant import AdapterChoice
from .. import fetch_errors
from ..hub import access, revisions
from ..hub import client as hub
from ..hub.question import Question, Repository, ask
from ..places import operators_folders
from ..sharing import Visit, turn
from ..verify.checks import LARGEST_CONFIG
from ..verify.checksums import discarding
from ..verify.safetensors_header import SHORT_HEADER, read_tensors
from . import checks as adapter_checks
from . import places as adapter_places
from . import uploads
from .bases import Base, base_of
from .checks import CONFIG, WEIGHTS
from .places import Source, Wanted

FOUND_ON_HUB = 20


def find(name: str, card: ModelCard, settings: Settings, token: str | None = None) -> Adapter:
    """What is known of an adapter for this base; its `file` is set when it is here and was checked in full.

    Of one that is only on the Hub no more than its config and the header of its weights are read, and noted.
    Raises UnknownAdapter, AdapterRefused, ModelIsAPath, BadSpelling, HubIdsNotAllowed, GatedModel, NotOnHub,
    HubUnreachable, CorruptWeights.
    """
    return _resolve(card, Visit(name, settings, token), whole=False)


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
    return _resolve(card, Visit(name, settings, token, on_progress, cancelled), whole=True)


def listed(card: ModelCard, settings: Settings) -> list[ListedAdapter]:
    """The adapters that can be picked by name for this base: the table's, then those of the operator's folder.

    Of the latter only the config is read, and the header where it names another base; damaged ones are left out.
    """
    base = base_of(card)
    taken = {entry.key for entry in load_adapters()}
    own = [entry for entry in _operators(base, settings) if entry.key not in taken]
    return [*adapters_of(replace(card, hub_id=base.name)), *own]


def search(card: ModelCard, settings: Settings, token: str | None = None) -> list[FoundAdapter]:
    """The Hub's adapters that are registered for this base, most downloaded first; none where it cannot be reached."""
    if not settings.hub_ids or not access.hub_reachable(settings):
        return []
    base = base_of(card).name
    with fetch_errors.translated(base, settings.cache), suppress(HubUnreachable):
        found = hub.adapters_for(base, FOUND_ON_HUB, Visit(base, settings, token))
        return [adapter for adapter in found if _is_spelled(adapter.hub_id)]
    return []


def _resolve(card: ModelCard, visit: Visit, whole: bool) -> Adapter:
    name, settings = visit.name, visit.settings
    AdapterChoice(name)  # a name that could not be spelled, or that leaves a folder, ends here
    wanted = Wanted(base_of(card), visit)
    with fetch_errors.translated(name, settings.cache):
        source = _source(name, card, wanted.base, settings)
        if source.folder is None:
            return _of_repo(source, wanted, whole)
        try:
            return adapter_places.accept(source.folder, wanted)
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
        if (folder := settings.adapters_folder / name).is_dir():
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


def _of_repo(source: Source, wanted: Wanted, whole: bool) -> Adapter:
    settings = wanted.settings
    if access.is_restricted(settings, source.repo):
        hub.prove_access(source.repo, wanted.visit)
    if not whole:
        known = _cached(source, wanted) or adapter_places.known_on_hub(source, wanted)
        return known or _ask_hub(source, wanted, whole)
    folder = adapter_places.in_hub_cache(source, settings)
    if folder and (known := adapter_places.known_good(folder, wanted, revisions.cache_folder())):
        return known
    with turn(wanted.visit):
        # Somebody else may have fetched it meanwhile.
        return _cached(source, wanted) or _ask_hub(source, wanted, whole)


def _cached(source: Source, wanted: Wanted) -> Adapter | None:
    folder = adapter_places.in_hub_cache(source, wanted.settings)
    if folder is None or not (folder / WEIGHTS).is_file():
        return None
    found = adapter_places.accept(folder, wanted, source.repo)
    if not revisions.pinned_commit(wanted.settings, source.repo, source.revision):
        revisions.record(wanted.settings, source.repo, source.revision, folder.name)
    return found


def _ask_hub(source: Source, wanted: Wanted, whole: bool) -> Adapter:
    settings, repo = wanted.settings, source.repo
    if not access.hub_reachable(settings):
        raise HubUnreachable(model=wanted.name)

    def look(commit: str | None) -> tuple[Repository, int]:
        return ask(lambda question: _look(question, commit, wanted, whole), repo, wanted.visit, downloading=whole)

    found, parameters = revisions.ask_for(settings, repo, source.revision, look)
    noted = {"adapter_bytes": found.sizes[WEIGHTS], "adapter_parameters": parameters}
    revisions.record(settings, repo, source.revision, found.commit, **noted)
    if whole:
        return adapter_places.accept(found.folder, wanted, repo)
    with adapter_checks.refusals(wanted.name):
        return adapter_places.elsewhere(found.folder, wanted, parameters)


def _look(question: Question, revision: str | None, wanted: Wanted, whole: bool) -> tuple[Repository, int]:
    """An adapter's repository and its parameters; its weights are downloaded once their header is good."""
    found, name, base = question.look_up(revision), wanted.name, wanted.base
    with adapter_checks.refusals(name):
        adapter_checks.check_names(found.sizes, name)
        adapter_checks.check_size(found.sizes[WEIGHTS], name, adapter_places.largest(wanted.settings))
        if found.sizes[CONFIG] > LARGEST_CONFIG:
            raise CorruptWeights(file=CONFIG, reason=f"it has {found.sizes[CONFIG]:,} bytes")
        question.download(found, [CONFIG])
        with discarding(found.folder, revisions.cache_folder()):
            config = adapter_checks.read_config(found.folder, name, base)
        parameters = found.sizes[WEIGHTS] // 2  # of fp16, where the header cannot be had in time
        try:
            parameters = adapter_checks.check_tensors(question.header(found, WEIGHTS), config, name, base)
        except PaddockError:
            raise
        except Exception:  # the download will say what is wrong, if anything is
            question.came()
    if whole:
        question.download(found, [WEIGHTS], shown=True)
    return found, parameters


def _operators(base: Base, settings: Settings) -> Iterator[ListedAdapter]:
    root = settings.adapters_folder
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if "/" in folder.name or not _is_spelled(folder.name) or not (folder / WEIGHTS).is_file():
            continue
        with suppress(AdapterRefused, CorruptWeights, OSError):
            config = adapter_checks.read_config(folder, folder.name, base)
            if adapter_checks.warning(config, base):
                tensors = read_tensors(folder / WEIGHTS, SHORT_HEADER)
                adapter_checks.check_tensors(tensors, config, folder.name, base)
            title = folder.name.replace("-", " ").replace("_", " ")
            yield ListedAdapter(folder.name, title, config.base, folder=folder.name)


def _unknown(name: str, card: ModelCard, settings: Settings) -> UnknownAdapter:
    if is_upload(name):
        suggestion = "An uploaded adapter is deleted after a day without use; upload it again."
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
