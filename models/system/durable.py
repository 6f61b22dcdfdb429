"""Files and folders that are on the disk before they have their name, so that no half one is taken for whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .files import read_json

NOTES = "paddock-unfinished.json"  # in an unfinished folder: what it is made from
LOCK = ".lock"


@contextmanager
def unfinished(out: Path, notes: dict[str, Any]) -> Iterator[Path]:
    """A folder beside `out`, which must not exist; it takes that name when the block ends well.

    An earlier block that was cut off has left its files in it, unless it had other notes. A second caller waits for the
    first. Raises FileExistsError, OSError.
    """
    from filelock import FileLock

    begun = out.with_name(f".{out.name}.unfinished")
    begun.mkdir(parents=True, exist_ok=True)
    with FileLock(begun / LOCK):
        if out.exists():
            raise FileExistsError(str(out))
        if read_json(begun / NOTES) != notes:
            _empty(begun)
        write_text(begun / NOTES, json.dumps(notes))
        yield begun
        for path in (*begun.glob(".*.part"), begun / NOTES, begun / LOCK):
            path.unlink(missing_ok=True)
        for path in (*begun.rglob("*"), begun):
            settle(path)
        os.rename(begun, out)
        settle(out.parent)


def write_text(path: Path, text: str) -> None:
    """Replace a small file at once."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    put(part, path)


def put(part: Path, final: Path) -> None:
    """Give a file that is whole its name."""
    settle(part)
    os.replace(part, final)


def settle(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk; where a folder cannot be opened, the system sees to it."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
