"""Where the weights of a model may lie on this machine already, in the order in which they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..domain.catalog import ModelCard, gguf_label
from ..domain.errors import CorruptWeights, DamagedFolder, DiscardedWeights, UnsafeWeights
from ..domain.gguf_parts import part_files, part_names
from ..domain.settings import Settings
from ..domain.snapshot import Form, Snapshot
from ..domain.variant import Variant
from . import wheel
from .hub import access, revisions
from .hub import client as hub
from .sharing import Reporter
from .verify import checkpoints, checks, gguf_header, markers
from .verify.checksums import check_sha256, linked_sha256
from .verify.discard import discard, refused
from .verify.file_names import has_pickles, weights_entry
from .verify.markers import Checked
from .verify.shards import missing_names

RULES = 1  # goes up with the checks, so that what passed by older ones is looked at again
Origin = Literal["folder", "hub cache", "hub", "package index"]


@dataclass(frozen=True)
class Place:
    """A folder, or a GGUF file (of several the first), that looks complete by its names; nothing is checked yet."""

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
        if folder is None or path is None or not all(part.is_file() for part in part_files(path)):
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
        known = known_good(place, card, settings, trusted)
        return known or _snapshot(place, markers.state(_quick_check(place, card)), trusted)
    except (CorruptWeights, UnsafeWeights, OSError):
        return None


def known_good(place: Place, card: ModelCard, settings: Settings, trusted: bool) -> Snapshot | None:
    """The snapshot of a place whose files are as they were when they were checked, else None.

    Raises UnsafeWeights when they were checked for another mode than the card's.
    """
    checked = markers.noted(settings, place.path, _purpose(place))
    if checked is not None and place.form == "safetensors":
        checkpoints.check_mode(checks.read_config(place.path, card.key), card.key, card.checkpoint)
    return None if checked is None else _snapshot(place, checked, trusted)


def accept(
    place: Place, card: ModelCard, settings: Settings, reporter: Reporter, trusted: bool, verified: bool = False
) -> Snapshot:
    """Check a place in full, SHA-256 included where it is known, and remember the result.

    `verified` says that the hash was computed a moment ago. Raises UnsafeWeights; CorruptWeights, or DiscardedWeights
    after the file was removed that its checksum proves damaged; DamagedFolder for the operator's own.
    """
    known = known_good(place, card, settings, trusted)
    if known is not None:
        return known
    try:
        files = _full_check(place, card)
        for path, sha256 in _hashes(place, files):
            if not verified:
                check_sha256(path, sha256, reporter.hashing(path.name, path.stat().st_size))
        return _snapshot(place, markers.remember(settings, place.path, files, _purpose(place)), trusted)
    except CorruptWeights as fault:
        if place.origin == "folder":
            name = f"{card.key}/{fault.facts['file']}"
            raise DamagedFolder(file=name, reason=fault.facts["reason"]) from fault
        markers.forget(settings, place.path)
        file = (place.path if place.form == "safetensors" else place.path.parent) / fault.facts["file"]
        if place.repo is None:  # a package's file, which is ours
            discard(file, place.path.parent)
            raise DiscardedWeights(**fault.facts) from fault
        size = file.stat().st_size if file.is_file() else 0
        raise refused(fault, file, hub.cache_folder(), reporter.hashing(file.name, size)) from fault


def is_open(place: Place, settings: Settings) -> bool:
    """Whether anybody may use what lies here."""
    return place.repo is None or not access.is_restricted(settings, place.repo)


def _purpose(place: Place) -> str:
    # A catalog that knows another file by the same name asks anew.
    return f"model {RULES} {place.sha256 or ''} {place.size or ''}".strip()


def _operators(card: ModelCard, form: Form, settings: Settings) -> Iterator[Place]:
    for folder in operators_folders(card.key, card.hub_id, settings):
        names = {path.name for path in folder.iterdir()}
        # Of a model in several files the first stands for all, whether it is there or not.
        ggufs = sorted({part_names(name)[0] for name in names if name.endswith(".gguf")})
        if form == "gguf" and ggufs:
            if chosen := _choose(ggufs, card):
                yield Place(folder / chosen, "gguf", "folder")
        elif form == "safetensors" and weights_entry(names):
            if _holds(folder, card):
                yield Place(folder, "safetensors", "folder")
        elif has_pickles(names) and not ggufs and not weights_entry(names):
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
        return not missing_names({path.name for path in folder.iterdir() if path.exists()}, folder)
    except (CorruptWeights, OSError):
        return True  # then the full check says what is wrong with it


def _quick_check(place: Place, card: ModelCard) -> list[Path]:
    if place.form == "safetensors":
        return _full_check(place, card)
    parts = _parts(place)
    for part in parts:
        gguf_header.check_start(part)
    return parts


def _full_check(place: Place, card: ModelCard) -> list[Path]:
    inside = hub.cache_folder() if place.origin in ("hub", "hub cache") else None
    if place.form == "safetensors":
        names = {path.name for path in place.path.iterdir()}
        for name in missing_names(names, place.path):
            raise CorruptWeights(file=name, reason="it is missing")
        return checks.check_folder(place.path, card.key, inside, card.checkpoint)
    parts = _parts(place)
    for part in parts:
        checks.check_link(part, inside, card.key)
        gguf_header.check_whole(part)
    return parts


def _parts(place: Place) -> list[Path]:
    """The file of a GGUF model, or all of its parts; raises CorruptWeights unless they are there in their sizes."""
    parts = part_files(place.path)
    for part in parts:
        if not part.is_file():
            raise CorruptWeights(file=part.name, reason=f"it is missing, one of {len(parts)} parts")
    size = sum(part.stat().st_size for part in parts)
    if place.size is not None and size != place.size:
        raise CorruptWeights(file=place.path.name, reason=f"it has {size:,} bytes instead of {place.size:,}")
    return parts


def _hashes(place: Place, files: list[Path]) -> Iterator[tuple[Path, str]]:
    if place.sha256:
        yield place.path, place.sha256
    elif place.repo:
        for path in files:
            if sha256 := linked_sha256(path):
                yield path, sha256


def _snapshot(place: Place, checked: Checked, trusted: bool) -> Snapshot:
    return Snapshot(str(place.path), place.form, place.origin, checked.bytes, place.revision, trusted, checked.state)
