"""Throwing a damaged file away; in the Hub cache, which other programs share, only what its checksum proves broken."""

from __future__ import annotations

from pathlib import Path

from ..spec.errors import CorruptWeights, DiscardedWeights
from .checksums import Tick, is_published

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
