"""Where the weights of a model may lie on this machine already, in the order in which they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..domain.catalog import DEQUANTIZED, ModelCard, gguf_label, part_files, part_names
from ..domain.errors import CorruptWeights, DamagedFolder, DiscardedWeights, NoGguf, UnsafeWeights
from ..domain.load import Form, Snapshot
from ..domain.settings import Settings
from ..domain.variant import Variant
from . import wheel
from .hub import access, revisions
from .sharing import Visit
from .verify import checked_files, checkpoints, checks, gguf_header
from .verify.checked_files import Checked
from .verify.checksums import check_sha256, discard, refused
from .verify.file_names import has_pickles, missing_names, weights_entry

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
    if form == "gguf" and card.checkpoint not in ("", DEQUANTIZED):
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
    """The folder of a local model, or KEY/ and OWNER/NAME/ in the operator's models folder, if they are there."""
    if own := settings.local_folder(card_key):
        return [own] if own.is_dir() else []
    if not settings.models_dir:
        return []
    # `owner/name=revision` asks for one revision, and OWNER/NAME does not say which it is.
    names = [card_key] if "=" in card_key or hub_id == card_key else [card_key, hub_id]
    found = [Path(settings.models_dir, *name.split("/")) for name in names]
    return [folder for folder in found if folder.is_dir()]


def on_hub(card: ModelCard, form: Form) -> tuple[str, str | None, str | None]:
    """The repository, the revision and the one file (None: all) of a card; raises NoGguf."""
    if form == "safetensors":
        return card.hub_id, card.revision, None
    if card.gguf is None:
        raise NoGguf(model=card.key)
    return card.gguf.repo, card.gguf.revision, card.gguf.file


def hub_cache_place(card: ModelCard, form: Form, settings: Settings) -> Place | None:
    """The model in the Hub cache at its commit, if all of its files are there."""
    if form == "gguf" and card.gguf is None:
        return None
    repo, revision, file = on_hub(card, form)
    folder = revisions.snapshot_folder(repo, revision, settings)
    if folder is None or not (all(p.is_file() for p in part_files(folder / file)) if file else _is_complete(folder)):
        return None
    size = card.gguf.bytes if file and card.gguf else None
    return Place(folder / (file or ""), form, "hub cache", folder.name, repo, size=size)


def glance(place: Place, card: ModelCard, settings: Settings) -> Snapshot | None:
    """The snapshot of a place that was checked before or passes the quick checks, else None; milliseconds."""
    try:
        known = known_good(place, card, settings)
        return known or _snapshot(place, checked_files.state(_full_check(place, card, quick=True)), card)
    except (CorruptWeights, UnsafeWeights, OSError):
        return None


def known_good(place: Place, card: ModelCard, settings: Settings) -> Snapshot | None:
    """The snapshot of a place whose files are as they were when they were checked, else None.

    Raises UnsafeWeights when they were checked for another mode than the card's.
    """
    checked = checked_files.noted(settings, place.path, _purpose(place))
    if checked is not None and place.form == "safetensors":
        checkpoints.check_mode(checks.read_config(place.path, card.key), card.key, card.checkpoint)
    return None if checked is None else _snapshot(place, checked, card)


def accept(place: Place, card: ModelCard, visit: Visit, verified: bool = False) -> Snapshot:
    """Check a place in full, SHA-256 included where it is known, and remember the result.

    `verified` says that the hash was computed a moment ago. Raises UnsafeWeights; CorruptWeights, or DiscardedWeights
    after the file was removed that its checksum proves damaged; DamagedFolder for the operator's own.
    """
    settings = visit.settings
    if known := known_good(place, card, settings):
        return known
    try:
        files = _full_check(place, card)
        for path in files if place.repo or place.sha256 else ():
            if not verified:
                check_sha256(path, visit.hashing(path), place.sha256)
        return _snapshot(place, checked_files.remember(settings, place.path, files, _purpose(place)), card)
    except CorruptWeights as fault:
        if place.origin == "folder":
            name = f"{card.key}/{fault.facts['file']}"
            raise DamagedFolder(file=name, reason=fault.facts["reason"]) from fault
        checked_files.forget(settings, place.path)
        file = (place.path if place.form == "safetensors" else place.path.parent) / fault.facts["file"]
        if place.repo:
            raise refused(fault, file, revisions.cache_folder(), visit.hashing(file)) from fault
        discard(file, place.path.parent)  # a package's file, which is ours
        raise DiscardedWeights(**fault.facts) from fault


def is_open(place: Place, card: ModelCard, settings: Settings) -> bool:
    """Whether anybody may use what lies here; of a gated model only who may read it, however its files came here."""
    gated = card.gated and place.repo == card.hub_id
    return place.repo is None or not access.is_restricted(settings, place.repo, gated)


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


def _full_check(place: Place, card: ModelCard, quick: bool = False) -> list[Path]:
    """The files of a place, which are whole and safe; `quick` looks only at the start of a GGUF file."""
    inside = revisions.cache_folder() if place.origin in ("hub", "hub cache") else None
    if place.form == "safetensors":
        for name in missing_names({path.name for path in place.path.iterdir()}, place.path):
            raise CorruptWeights(file=name, reason="it is missing")
        return checks.check_folder(place.path, card.key, inside, card.checkpoint)
    parts = _parts(place)
    for part in parts:
        checks.check_link(part, inside, card.key)
        (gguf_header.check_start if quick else gguf_header.check_whole)(part)
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


def _snapshot(place: Place, checked: Checked, card: ModelCard) -> Snapshot:
    bytes_, state = checked.bytes, checked.state
    return Snapshot(str(place.path), place.form, place.origin, bytes_, place.revision, card.listed, state)
