"""What a file's bytes hash to, and what they must: the Hub cache names each blob by the checksum of its content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...domain.errors import CorruptWeights

PIECE = 4 * 1024 * 1024  # bytes hashed between two calls of `tick`
_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")

Tick = Callable[[int], None]


def check_sha256(path: Path, wanted: str, tick: Tick) -> None:
    """Hash a file, calling `tick` with the bytes so far; raises CorruptWeights when the hash is another."""
    if _hash(path, hashlib.sha256(), tick) != wanted.lower():
        raise CorruptWeights(file=path.name, reason="its SHA-256 is not the published one")


def linked_sha256(path: Path) -> str | None:
    """The SHA-256 that a large file of the Hub cache must have."""
    name = _blob_name(path)
    return name if _SHA256.fullmatch(name) else None


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
