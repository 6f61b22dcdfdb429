"""Which files of a folder processes have open or mapped, as far as this system lets one see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROCESSES = Path("/proc")  # of Linux; other systems show nothing of the kind without privileges


def used_paths() -> set[str]:
    """The paths of all files that processes of this user have open or mapped; empty where that cannot be seen."""
    found: set[str] = set()
    if PROCESSES.is_dir():
        for process in PROCESSES.iterdir():
            if process.name.isdigit():
                with suppress(OSError):
                    found.update(_mapped(process))
                with suppress(OSError):
                    found.update(_opened(process))
    return found


def _mapped(process: Path) -> Iterator[str]:
    for line in (process / "maps").read_text(encoding="utf-8", errors="replace").splitlines():
        _, slash, path = line.partition(" /")
        if slash:
            yield f"/{path}"


def _opened(process: Path) -> Iterator[str]:
    for each in (process / "fd").iterdir():
        with suppress(OSError):
            yield os.readlink(each)
