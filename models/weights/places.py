"""Where the weights of a model may lie on this machine already, in the order in which they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..spec.catalog import ModelCard, gguf_label
from ..spec.errors import CorruptWeights, DamagedFolder, UnsafeWeights
from ..spec.settings import Settings
from ..spec.snapshot import Form, Snapshot
from ..spec.variant import Variant
from . import access, checkpoints, checks, gguf_header, hub, markers, revisions, wheel
from .discard import discard
from .file_names import has_pickles, weight_names
from .sharing import Reporter

Origin = Literal["folder", "hub cache", "hub", "package index"]


@dataclass(frozen=True)
class Place:
    """A folder, or a GGUF file, that looks complete by its names; nothing in it has been checked yet."""

    path: Path
    form: Form
    origin: Origin
    revision: str | None = None
    repo: str | None = None  # of the Hub, where the files came from there
    sha256: str | None = None  # of a single file, where it is known
    size: int | None = None  # of a single file, where it is known


def places(card: ModelCard, form: Form, settings: Settings) -> Iterator[Place]:
    """The operator's folder first, then the Hub cache, then files of packages; no network."""
    Variant(card.key)  # a name that could leave a folder ends here
    if form == "gguf" and card.checkpoint:
        return  # a GGUF file is no such checkpoint
    yield from _operators(card, form, settings)
    hub_place = hub_cache_place(card, form, settings)
    if hub_place is not None:
        yield hub_place
    if form == "gguf":
        path = wheel.final_path(card, settings)
        if card.wheel is not None and path is not None and path.is_file():
            yield Place(path, "gguf", "package index", sha256=card.wheel.sha256, size=card.wheel.bytes)


def operators_folders(card_key: str, hub_id: str, settings: Settings) -> list[Path]:
    """KEY/ and OWNER/NAME/ in the operator's models folder, if they are there."""
    if not settings.models_dir:
        return []
    # `owner/name=revision` asks for one revision, and OWNER/NAME does not say which it is.
    names = [card_key] if "=" in card_key or hub_id == card_key else [card_key, hub_id]
    found = [Path(settings.models_dir, *name.split("/")) for name in names]
    return [folder for folder in found if folder.is_dir()]


def hub_cache_place(card: ModelCard, form: Form, settings: Settings) -> Place | None:
    """The model in the Hub cache at its commit, if all of its files are there."""
    if form == "gguf":
        if card.gguf is None:
            return None
        folder = snapshot_folder(card.gguf.repo, card.gguf.revision, settings)
        path = folder / card.gguf.file if folder else None
        if folder is None or path is None or not path.is_file():
            return None
        return Place(path, "gguf", "hub cache", folder.name, card.gguf.repo, size=card.gguf.bytes)
    folder = snapshot_folder(card.hub_id, card.revision, settings)
    if folder is None or not _is_complete(folder):
        return None
    return Place(folder, "safetensors", "hub cache", folder.name, card.hub_id)


def snapshot_folder(repo: str, revision: str | None, settings: Settings) -> Path | None:
    """The folder of a repository in the Hub cache at the commit that this model must have, if there is one."""
    storage = hub.repo_folder(repo)
    commit = revisions.pinned_commit(settings, repo, revision)
    if commit is None:
        try:
            commit = (storage / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
    folder = storage / "snapshots" / commit
    return folder if revisions.is_commit(commit) and folder.is_dir() else None


def glance(place: Place, card: ModelCard, settings: Settings, trusted: bool) -> Snapshot | None:
    """The snapshot of a place that was checked before or passes the quick checks, else None; milliseconds."""
    try:
        return known_good(place, card, settings, trusted) or _snapshot(place, _quick_check(place, card), trusted)
    except (CorruptWeights, UnsafeWeights, OSError):
        return None


def known_good(place: Place, card: ModelCard, settings: Settings, trusted: bool) -> Snapshot | None:
    """The snapshot of a place whose files are as they were when they were checked, else None.

    Raises UnsafeWeights when they were checked for another mode than the card's.
    """
    size = markers.checked_bytes(settings, place.path)
    if size is not None and place.form == "safetensors":
        checkpoints.check_mode(checks.read_config(place.path, card.key), card.key, card.checkpoint)
    return None if size is None else _snapshot(place, size, trusted)


def accept(
    place: Place, card: ModelCard, settings: Settings, reporter: Reporter, trusted: bool, verified: bool = False
) -> Snapshot:
    """Check a place in full, SHA-256 included where it is known, and remember the result.

    `verified` says that the hash was computed a moment ago. Raises UnsafeWeights; CorruptWeights after the damaged
    file was discarded; DamagedFolder for the operator's own, which is left alone.
    """
    known = known_good(place, card, settings, trusted)
    if known is not None:
        return known
    try:
        files = _full_check(place, card)
        for path, sha256 in _hashes(place, files):
            if not verified:
                markers.check_sha256(path, sha256, reporter.hashing(path.name, path.stat().st_size))
        return _snapshot(place, markers.remember(settings, place.path, files), trusted)
    except CorruptWeights as fault:
        if place.origin == "folder":
            name = f"{card.key}/{fault.facts['file']}"
            raise DamagedFolder(file=name, reason=fault.facts["reason"]) from fault
        file = place.path / fault.facts["file"] if place.form == "safetensors" else place.path
        discard(file, hub.cache_folder() if place.repo else place.path.parent)
        markers.forget(settings, place.path)
        raise


def is_open(place: Place, settings: Settings) -> bool:
    """Whether anybody may use what lies here."""
    return place.repo is None or not access.is_restricted(settings, place.repo)


def _operators(card: ModelCard, form: Form, settings: Settings) -> Iterator[Place]:
    for folder in operators_folders(card.key, card.hub_id, settings):
        names = {path.name for path in folder.iterdir()}
        ggufs = sorted(name for name in names if name.endswith(".gguf"))
        if form == "gguf" and ggufs:
            if chosen := _choose(ggufs, card):
                yield Place(folder / chosen, "gguf", "folder")
        elif form == "safetensors" and weight_names(names):
            if _holds(folder, card):
                yield Place(folder, "safetensors", "folder")
        elif has_pickles(names) and not ggufs and not weight_names(names):
            raise UnsafeWeights(model=card.key, reason="the operator's folder holds only pickled weights")


def _choose(ggufs: list[str], card: ModelCard) -> str | None:
    """The file that the card means: by its name, else by its label; any where the card asks for none in particular."""
    files = [card.gguf.file if card.gguf else "", card.wheel.file if card.wheel else ""]
    labels = [card.label] if card.label else [gguf_label(file) for file in files]
    fitting = [name for label in labels if label for name in ggufs if gguf_label(name).lower() == label.lower()]
    named = [file for file in files if file in ggufs]
    return next(iter(named + fitting + ([] if card.label else ggufs)), None)


def _holds(folder: Path, card: ModelCard) -> bool:
    """Whether a folder's weights are quantized as the card says; True also where that cannot be read."""
    try:
        found = checkpoints.read_checkpoint(checks.read_config(folder, card.key), card.key)
    except (CorruptWeights, UnsafeWeights, OSError):
        return True  # then the full check says what is wrong with it
    return (found.mode if found else "") == card.checkpoint


def _is_complete(folder: Path) -> bool:
    try:
        return not checks.missing_names({path.name for path in folder.iterdir() if path.exists()}, folder)
    except (CorruptWeights, OSError):
        return True  # then the full check says what is wrong with it


def _quick_check(place: Place, card: ModelCard) -> int:
    if place.form == "safetensors":
        return sum(path.stat().st_size for path in _full_check(place, card))
    _check_size(place)
    gguf_header.check_start(place.path)
    return place.path.stat().st_size


def _full_check(place: Place, card: ModelCard) -> list[Path]:
    inside = hub.cache_folder() if place.origin in ("hub", "hub cache") else None
    if place.form == "safetensors":
        names = {path.name for path in place.path.iterdir()}
        for name in checks.missing_names(names, place.path):
            raise CorruptWeights(file=name, reason="it is missing")
        return checks.check_folder(place.path, card.key, inside, card.checkpoint)
    checks.check_link(place.path, inside, card.key)
    _check_size(place)
    gguf_header.check_whole(place.path)
    return [place.path]


def _check_size(place: Place) -> None:
    size = place.path.stat().st_size
    if place.size is not None and size != place.size:
        raise CorruptWeights(file=place.path.name, reason=f"it has {size:,} bytes instead of {place.size:,}")


def _hashes(place: Place, files: list[Path]) -> Iterator[tuple[Path, str]]:
    if place.sha256:
        yield place.path, place.sha256
    elif place.repo:
        for path in files:
            if sha256 := markers.linked_sha256(path):
                yield path, sha256


def _snapshot(place: Place, size: int, trusted: bool) -> Snapshot:
    return Snapshot(str(place.path), place.form, place.origin, size, place.revision, trusted)
