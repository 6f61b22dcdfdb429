"""What a file's bytes must hash to, and what is thrown away when they do not.

The Hub cache names each blob by the checksum of its content. Other programs share it: only what its checksum proves
broken goes.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...domain.errors import CorruptWeights, DiscardedWeights

PIECE = 4 * 1024 * 1024  # bytes hashed between two calls of `tick`
ABANDONED_S = 3600.0  # a part file that nobody wrote to for so long
LONGEST_CHAIN = 5  # a snapshot links to a blob, which may link to a shared one
_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_PART = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})\.[0-9a-f]{8}\.incomplete")

Tick = Callable[[int], None]


def check_sha256(path: Path, tick: Tick, published: str | None = None) -> None:
    """Hash a file, calling `tick` with the bytes so far; raises CorruptWeights unless it is as it was published.

    Without a hash it is that which the Hub cache has for a large file; of others nothing is known.
    """
    name = _blob_name(path)
    wanted = published or (name if _SHA256.fullmatch(name) else None)
    if wanted and _hash(path, hashlib.sha256(), tick) != wanted.lower():
        raise CorruptWeights(file=path.name, reason="its SHA-256 is not the published one")


def is_published(path: Path, tick: Tick = lambda done: None) -> bool | None:
    """Whether a file of the Hub cache has the content that its blob's name says; None where nothing is known of it.

    The name is the SHA-256 of a large file, and of a small one the SHA-1 under which git keeps it.
    """
    name = _blob_name(path)
    if not path.is_file():
        return None
    if _SHA256.fullmatch(name):
        return _hash(path, hashlib.sha256(), tick) == name
    if _SHA1.fullmatch(name):
        start = f"blob {path.stat().st_size}\0".encode()
        return _hash(path, hashlib.sha1(start, usedforsecurity=False), tick) == name
    return None


def refused(fault: CorruptWeights, path: Path, inside: Path, tick: Tick = lambda done: None) -> CorruptWeights:
    """The error to raise for a file of the Hub cache `inside` that cannot be used.

    One whose checksum proves it broken was discarded, so that the next try downloads it anew. Any other is what its
    owner published, or may be what another program put there, and is left alone. `tick` gets the bytes hashed so far.
    """
    if is_published(path, tick) is not False:
        return fault
    discard(path, inside)
    return DiscardedWeights(**fault.facts)


@contextmanager
def discarding(folder: Path, inside: Path) -> Iterator[None]:
    """Discard a small file of a folder in the Hub cache that turns out to be broken; see `refused`."""
    try:
        yield
    except CorruptWeights as fault:
        raise refused(fault, folder / fault.facts["file"], inside) from fault


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

    Those of a download that goes on, by its lock, and those of older programs, which take them up, are left alone.
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


def _blob_name(path: Path) -> str:
    blob = path.parent / path.readlink() if path.is_symlink() else path
    return blob.name if blob.parent.name == "blobs" else ""


def _hash(path: Path, digest: Any, tick: Tick) -> str:
    done = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            tick(done)
    return str(digest.hexdigest())
