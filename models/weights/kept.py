"""What of models and adapters lies on this machine's disk: where, how much, when it was last used."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..domain.adapters import short_name
from ..domain.errors import DiskBudget, KeptInUse, NotKept
from ..domain.settings import Settings
from ..domain.units import size
from ..system.used_files import used_paths
from .hub import revisions

Kind = Literal["hub", "converted", "package", "upload", "publishing", "rows", "checkpoint"]
FOLDERS: dict[Kind, str] = {
    "converted": "converted",
    "package": "wheels",
    "upload": "uploads",
    "publishing": "publishing",
    "rows": "rows",
}
USED = "used"  # the folder with an empty file for each, whose time is that of its last use
GOING = ".going-"  # begins the name of what is being removed
RECENT_S = 600.0  # so long after its last use a file may be about to be opened
NEEDED_AGAIN: tuple[Kind, ...] = ("converted", "package")  # in the order in which a budget removes them


@dataclass(frozen=True)
class Kept:
    """One thing that can be removed by its name; `used` in seconds since 1970, 0 where that is not known."""

    name: str
    kind: Kind
    path: Path
    bytes: int
    used: float
    in_use: bool = False


def kept(settings: Settings) -> list[Kept]:
    """All of it, the largest first. Names of uploads are shortened: whoever knows one may use it."""
    using = used_paths()
    found = [_entry(kind, name, path, settings, using) for kind, name, path in _places(settings)]
    return sorted(found, key=lambda each: -each.bytes)


def used(settings: Settings, path: Path) -> None:
    """Note that what a path belongs to is used now."""
    name = next((name for _, name, place in _places(settings) if path.is_relative_to(place)), "")
    if name:
        stamp = _stamp(settings, name)
        with suppress(OSError):  # a folder that cannot be written to keeps no notes
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()


def remove(settings: Settings, name: str) -> Kept:
    """Remove what has that name; raises NotKept, or KeptInUse for what is open, mapped, or being written."""
    found = next((each for each in kept(settings) if each.name == name), None)
    if found is None:
        raise NotKept(name=name[:100])
    if found.in_use:
        raise KeptInUse(name=name)
    _drop(found, settings)
    return found


def make_room(settings: Settings, needed: int, what: str, keep: Path) -> list[Kept]:
    """Have the budget hold when `needed` bytes come: the least recently used conversions go, then packages' files.

    What is in use, was a moment ago, or holds `keep`, stays. Returns what went; raises DiskBudget where that is not
    enough.
    """
    budget = int(settings.disk_gb * 1e9)
    if not budget:
        return []
    there = [each for each in kept(settings) if each.kind not in ("hub", "checkpoint")]
    taken, removed, now = sum(each.bytes for each in there), [], time.time()
    idle = [
        each
        for each in there
        if each.kind in NEEDED_AGAIN
        and not each.in_use
        and now - each.used > RECENT_S
        and not keep.is_relative_to(each.path)
    ]
    for each in sorted(idle, key=lambda each: (NEEDED_AGAIN.index(each.kind), each.used)):
        if taken + needed > budget:
            _drop(each, settings)
            removed.append(each)
            taken -= each.bytes
    if taken + needed > budget:
        raise DiskBudget(file=what, needed=size(needed), budget=size(budget), taken=size(taken))
    return removed


def free_disk(settings: Settings) -> int:
    """Bytes that are free where models are kept."""
    folder = settings.cache.absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _places(settings: Settings) -> Iterator[tuple[Kind, str, Path]]:
    hub = revisions.cache_folder()
    for folder in _folders(hub):
        if folder.name.startswith("models--"):
            yield "hub", f"hub/{folder.name.removeprefix('models--').replace('--', '/')}", folder
    for kind, under in FOLDERS.items():
        for folder in _folders(settings.cache / under):
            shown = short_name(folder.name) if kind == "upload" else folder.name
            yield kind, f"{under}/{shown}", folder
    for folder in _folders(settings.adapters_folder):
        if (folder / "checkpoints").is_dir():
            yield "checkpoint", f"checkpoints/{folder.name}", folder / "checkpoints"


def _folders(root: Path) -> list[Path]:
    """The folders in one; what is being removed or written under another name counts, too."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and path.name != ".locks")
    except OSError:
        return []


def _entry(kind: Kind, name: str, path: Path, settings: Settings, using: Iterable[str]) -> Kept:
    bytes_, last = 0, 0.0
    for file in path.rglob("*"):
        with suppress(OSError):
            if file.is_file() and not file.is_symlink():
                state = file.stat()
                bytes_ += state.st_size
                last = max(last, state.st_mtime)
    with suppress(OSError):
        last = max(last, _stamp(settings, name).stat().st_mtime)
    inside = f"{path.resolve()}{os.sep}"
    busy = any(each.startswith(inside) for each in using) or _is_locked(kind, path)
    return Kept(name, kind, path, bytes_, last, busy)


def _is_locked(kind: Kind, path: Path) -> bool:
    """Whether somebody writes it: each writer holds a lock."""
    locks = [Path(f"{path}.lock"), path / ".lock"]
    if kind == "hub":
        locks = list((path.parent / ".locks" / path.name).glob("*.lock"))
    return any(_held(lock) for lock in locks if lock.is_file())


def _held(lock: Path) -> bool:
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    held.release()
    return False


def _drop(gone: Kept, settings: Settings) -> None:
    aside = gone.path.with_name(f"{GOING}{secrets.token_hex(6)}")
    with suppress(FileNotFoundError):
        os.rename(gone.path, aside)  # at once, so that nobody finds half of it
        shutil.rmtree(aside, ignore_errors=True)
    _stamp(settings, gone.name).unlink(missing_ok=True)


def _stamp(settings: Settings, name: str) -> Path:
    return settings.cache / USED / hashlib.sha256(name.encode()).hexdigest()[:32]
