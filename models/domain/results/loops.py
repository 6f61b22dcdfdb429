"""Whether a text says the same again and again, and from where on."""

from __future__ import annotations

import re
from functools import lru_cache

LOOKED_AT = 10_000  # characters of a text
SHORTEST = 48  # characters of all repetitions together: less is emphasis, such as “no, no, no”
# A phrase, and the same at least twice more; the shortest one from the first place on.
_REPEATED = re.compile(r"(.{2,300}?)\1{2,}", re.DOTALL)


@lru_cache(maxsize=64)
def repeats_from(text: str) -> int | None:
    """The character at which a phrase comes for the second time of at least three in a row; None where none does.

    What has neither letters nor digits, such as the lines of a table, is no phrase.
    """
    for found in _REPEATED.finditer(text[:LOOKED_AT]):
        if len(found[0]) >= SHORTEST and re.search(r"\w", found[1]):
            return _word(text, found.start() + len(found[1]))
    return None


def _word(text: str, place: int) -> int:
    """Where the word begins in which the place is, or the next one behind it."""
    while place and text[place - 1].isalnum() and text[place].isalnum():
        place -= 1
    while place < len(text) - 1 and not text[place].isalnum():
        place += 1
    return place
