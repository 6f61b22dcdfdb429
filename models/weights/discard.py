"""Throwing a damaged file away, links included, so that the next try downloads it anew."""

from __future__ import annotations

from pathlib import Path

LONGEST_CHAIN = 5  # a snapshot links to a blob, which may link to a shared one


def discard(path: Path, inside: Path) -> None:
    """Remove a file and what it links to, as far as that lies in `inside`."""
    chain = [path]
    while chain[-1].is_symlink() and len(chain) < LONGEST_CHAIN:
        chain.append(chain[-1].parent / chain[-1].readlink())
    for link in chain:
        if link.parent.resolve().is_relative_to(inside.resolve()):
            link.unlink(missing_ok=True)
