"""What was checked once is not checked again: a note a snapshot, good as long as its files stay as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...domain.settings import Settings
from ...system.files import digest_of, file_state, read_json, write_json


@dataclass(frozen=True)
class Checked:
    """Files that were checked: their size together in bytes, their state, and what was noted about them."""

    bytes: int
    state: str
    facts: dict[str, Any] = field(default_factory=dict)


def noted(settings: Settings, path: Path, purpose: str) -> Checked | None:
    """What was noted when a snapshot was found good for a purpose; None unless all of its files are as they were."""
    note = read_json(_note(settings, path))
    files, facts = note.get("files"), note.pop("facts", {})
    if not isinstance(files, dict) or not files:
        return None
    try:
        now = _described(path, [(path if path.is_dir() else path.parent) / name for name in files], purpose)
    except OSError:
        return None
    return _checked(files, facts) if note == now else None


def state(files: Iterable[Path]) -> Checked:
    """The size and the state of files that are here."""
    return _checked({file.name: file_state(file) for file in files})


def remember(settings: Settings, path: Path, files: Iterable[Path], purpose: str, **facts: Any) -> Checked:
    """Note that these files of a snapshot are good for a purpose, and facts about them."""
    note = _described(path, files, purpose)
    write_json(_note(settings, path), note | {"facts": facts})
    return _checked(note["files"], facts)


def forget(settings: Settings, path: Path) -> None:
    """Drop the note of a snapshot."""
    _note(settings, path).unlink(missing_ok=True)


def _note(settings: Settings, path: Path) -> Path:
    # Not beside the file: the models folder may be read-only, and the Hub cache belongs to others.
    return settings.cache / "checked" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"


def _described(path: Path, files: Iterable[Path], purpose: str) -> dict[str, Any]:
    # A file that is added or removed changes the time of its folder.
    time = path.stat().st_mtime_ns if path.is_dir() else 0
    return {"path": str(path), "folder": time, "files": {f.name: file_state(f) for f in files}, "purpose": purpose}


def _checked(states: dict[str, list[int]], facts: dict[str, Any] | None = None) -> Checked:
    return Checked(sum(known[0] for known in states.values()), digest_of(states), facts or {})
