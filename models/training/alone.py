"""One process at a time in the folder of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..domain.errors import PaddockError

LOCK = ".lock"


@contextmanager
def alone(folder: Path, busy: PaddockError) -> Iterator[None]:
    """Make a folder and hold others off it; raises `busy` where another process is in it, and OSError."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise busy from None
    try:
        yield
    finally:
        lock.release()
