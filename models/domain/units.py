"""Bytes and counts as people write them."""

from __future__ import annotations

import re


def size(count: float) -> str:
    """Bytes for people, in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if round(abs(count)) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in ("B", "kB", "MB") else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def parameter_count(count: int) -> str:
    """A parameter count as the field writes it: 135M, 1.2B, 70B."""
    if count < 999_500_000:
        return f"{count / 1e6:.0f}M"
    return f"{count / 1e9:.1f}B".replace(".0B", "B")


def byte_count(text: str) -> int:
    """A size as transformers writes it: 500MB, 2GB, in decimal units; raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if found is None or not (count := int(float(found[1]) * 1000 ** " KMGT".index(found[2] or " "))):
        raise ValueError(f"{text[:40]} is not a size such as 500MB or 2GB")
    return count
