"""Files: what tells one content from another without reading it, and JSON objects that are never seen half written."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..domain.errors import CorruptWeights


def file_state(path: Path) -> list[int]:
    """Size in bytes, the times in ns at which its content and its inode changed, and the inode.

    A copy that keeps the first time (cp -p, rsync, tar) or that takes the file's place changes one of the others.
    """
    state = path.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def state_of(files: Iterable[Path]) -> str:
    """One word for the states of several files; raises OSError."""
    return digest_of({path.name: file_state(path) for path in files})


def digest_of(states: dict[str, list[int]]) -> str:
    """The same of states that are known, by file name."""
    return hashlib.sha256(repr(sorted(states.items())).encode()).hexdigest()[:32]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one when the file is missing or is not a JSON object."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def read_object(path: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file of at most `limit` bytes; raises CorruptWeights."""
    size = path.stat().st_size
    if size > limit:
        raise CorruptWeights(file=path.name, reason=f"it has {size:,} bytes, more than {limit:,}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise CorruptWeights(file=path.name, reason="it is not a JSON object")
    return data


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Replace a file at once, so that a reader sees the old object or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
