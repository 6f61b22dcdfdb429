"""Throwing a damaged file away; in the Hub cache, which other programs share, only what its checksum proves broken."""

from __future__ import annotations

import re
import time
from pathlib import Path

from ...domain.errors import CorruptWeights, DiscardedWeights
from .checksums import Tick, is_published

ABANDONED_S = 3600.0  # a part file that nobody wrote to for so long
_PART = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})\.[0-9a-f]{8}\.incomplete")
LONGEST_CHAIN = 5  # a snapshot links to a blob, which may link to a shared one


def refused(fault: CorruptWeights, path: Path, inside: Path, tick: Tick = lambda done: None) -> CorruptWeights:
    """The error to raise for a file of the Hub cache `inside` that cannot be used.

    One whose checksum proves it broken was discarded, so that the next try downloads it anew. Any other is what its
    owner published, or may be what another program put there, and is left alone. `tick` gets the bytes hashed so far.
    """
    if is_published(path, tick) is not False:
        return fault
    discard(path, inside)
    return DiscardedWeights(**fault.facts)


def discard(path: Path, inside: Path) -> None:
    """Remove a file and what it links to, as far as that lies in `inside`."""
    chain = [path]
    while chain[-1].is_symlink() and len(chain) < LONGEST_CHAIN:
        chain.append(chain[-1].parent / chain[-1].readlink())
    for link in chain:
        if link.parent.resolve().is_relative_to(inside.resolve()):
            link.unlink(missing_ok=True)


def sweep(storage: Path) -> None:
    """Remove the part files that killed downloads have left in the folder of a repository of the Hub cache.

    Their names are new each time, so that nothing takes them up again. Those of a download that goes on, by its lock,
    and those of older programs, which do take them up, are left alone.
    """
    from filelock import FileLock, Timeout

    for part in (storage / "blobs").glob("*.incomplete"):
        found = _PART.fullmatch(part.name)
        try:
            if not found or time.time() - part.stat().st_mtime <= ABANDONED_S:
                continue
            lock = storage.parent / ".locks" / storage.name / f"{found[1]}.lock"
            lock.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock, timeout=0):
                part.unlink()
        except (OSError, Timeout):
            continue
