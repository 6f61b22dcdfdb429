"""Adapters that visitors bring: checked, kept for a while, and found only by who knows their name."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from ...domain.adapters import is_upload, upload_label
from ...domain.catalog import ModelCard
from ...domain.errors import AdapterRefused
from ...domain.load import Adapter
from ...domain.settings import Settings
from ...system.files import read_object
from .. import fetch_errors, own_folder
from ..sharing import Visit, file_lock
from ..verify import checked_files, checks
from . import checks as adapter_checks
from . import places as adapter_places
from .bases import base_of
from .checks import CONFIG, WEIGHTS
from .places import Wanted

MOST = 64
MOST_BYTES = 2_000_000_000  # together
UNUSED_S = 24 * 3600.0
ABANDONED_S = 3600.0  # of an upload whose process died
RANDOM_BYTES = 15  # 120 bits: the name is the only key
BROUGHT = "you uploaded"  # before it has a name
USED = "used"  # an empty file whose time is that of the last use
UNNAMED = "my-adapter"


def keep(config: Path, weights: Path, card: ModelCard, settings: Settings, label: str = "") -> Adapter:
    """Check an uploaded pair of files and keep a copy, under a name that nobody can guess and no list shows.

    The name begins with the `label`, or else with that of the file of weights, as far as it can be spelled.

    The least recently used go when there are too many. Raises AdapterRefused, DiskFull.
    """
    if not settings.uploads:
        raise AdapterRefused(adapter=BROUGHT, reason="the operator of this app takes no uploads")
    base, root = base_of(card), _root(settings)
    with fetch_errors.translated(f"the adapter {BROUGHT}", settings.cache), adapter_checks.refusals(BROUGHT):
        for path in (config, weights):
            checks.check_link(path, None, BROUGHT)
        size = weights.stat().st_size
        adapter_checks.check_size(size, BROUGHT, adapter_places.largest(settings))
        read_object(config, checks.LARGEST_CONFIG)
        own_folder.require(settings)
        root.mkdir(exist_ok=True, mode=0o700)
        fetch_errors.require_space(size, WEIGHTS, root)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
        try:
            # The copy is checked and not the original, which somebody could still write to.
            shutil.copyfile(config, work / CONFIG)
            shutil.copyfile(weights, work / WEIGHTS)
            checked = adapter_checks.check_folder(work, BROUGHT, base, adapter_places.largest(settings))
            (work / USED).touch()
            readable = upload_label(label) or _file_label(weights) or UNNAMED
            key = f"{readable}-{base64.b32encode(secrets.token_bytes(RANDOM_BYTES)).decode().lower()}"
            with file_lock(settings, "uploads"):
                _make_room(settings, size)
                os.rename(work, root / key)
                return adapter_places.remember(root / key, Wanted(base, Visit(key, settings)), checked)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _file_label(weights: Path) -> str:
    """What a file of weights says by its name; nothing where it has the name that all of them have."""
    return "" if weights.name == WEIGHTS else upload_label(weights.stem)


def folder_of(name: str, settings: Settings) -> Path | None:
    """The folder of an upload, noted as used now; None when it is not there, or no longer."""
    folder = _root(settings) / name
    if not settings.uploads or not is_upload(name):
        return None
    try:
        os.utime(folder / USED)
    except FileNotFoundError:
        return None
    return folder


def _root(settings: Settings) -> Path:
    return settings.cache / "uploads"


def _make_room(settings: Settings, size: int) -> None:
    """Drop what nobody used for a day, then the least recently used, until one more of `size` bytes has room."""
    root, now = _root(settings), time.time()
    for path in root.glob(".*-*"):
        if path.name.startswith(".old-") or now - path.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)
    uploads = [path for path in root.iterdir() if is_upload(path.name)]
    kept = sorted(((p / USED).stat().st_mtime if (p / USED).is_file() else 0.0, p) for p in uploads)
    total, count = size + sum(_bytes(path) for _, path in kept), 1 + len(kept)
    for used, path in kept:
        if now - used <= UNUSED_S and total <= MOST_BYTES and count <= MOST:
            break
        total, count = total - _bytes(path), count - 1
        gone = root / f".old-{path.name}"
        os.rename(path, gone)  # at once, so that nobody finds half of it
        shutil.rmtree(gone, ignore_errors=True)
        checked_files.forget(settings, path)


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())
