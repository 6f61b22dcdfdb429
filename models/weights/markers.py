"""What was checked once is not checked again: a note a snapshot, good as long as its files stay as they were."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..spec.errors import CorruptWeights
from ..spec.settings import Settings
from .json_files import read_json, write_json

PIECE = 4 * 1024 * 1024  # bytes hashed between two calls of `tick`
_SHA256 = re.compile(r"[0-9a-f]{64}")


def checked_bytes(settings: Settings, path: Path) -> int | None:
    """The size of a snapshot's files if all of them are as they were when it was checked, else None."""
    facts = noted(settings, path)
    return None if facts is None else int(facts["bytes"])


def noted(settings: Settings, path: Path, purpose: str = "") -> dict[str, Any] | None:
    """What was noted when a folder was found good for a purpose; None unless all of its files are as they were."""
    note = read_json(_note(settings, path))
    files = note.get("files")
    if note.get("path") != str(path) or note.get("purpose", "") != purpose or not isinstance(files, dict) or not files:
        return None
    try:
        if note.get("folder") != _folder_time(path):
            return None
        for name, known in files.items():
            if known != _state(path / name if path.is_dir() else path):
                return None
    except OSError:
        return None
    return {**note.get("facts", {}), "bytes": sum(known[0] for known in files.values())}


def remember(settings: Settings, path: Path, files: Iterable[Path], purpose: str = "", **facts: Any) -> int:
    """Note that these files of a snapshot are good for a purpose, and facts about them; their size in bytes."""
    states = {file.name: _state(file) for file in files}
    note = {"path": str(path), "folder": _folder_time(path), "files": states, "purpose": purpose, "facts": facts}
    write_json(_note(settings, path), note)
    return sum(state[0] for state in states.values())


def forget(settings: Settings, path: Path) -> None:
    """Drop the note of a snapshot."""
    _note(settings, path).unlink(missing_ok=True)


def check_sha256(path: Path, wanted: str, tick: Callable[[int], None]) -> None:
    """Hash a file, calling `tick` with the bytes so far; raises CorruptWeights when the hash is another."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            tick(done)
    if digest.hexdigest() != wanted.lower():
        raise CorruptWeights(file=path.name, reason="its SHA-256 is not the published one")


def linked_sha256(path: Path) -> str | None:
    """The SHA-256 that a file of the Hub cache must have: a large one is a link to its hash."""
    name = path.readlink().name if path.is_symlink() else ""
    return name if _SHA256.fullmatch(name) else None


def _note(settings: Settings, path: Path) -> Path:
    # Not beside the file: the models folder may be read-only, and the Hub cache belongs to others.
    return settings.cache / "checked" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"


def _state(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def _folder_time(path: Path) -> int:
    # A file that is added or removed changes the time of its folder.
    return path.stat().st_mtime_ns if path.is_dir() else 0
