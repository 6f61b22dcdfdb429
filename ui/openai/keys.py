"""Who may ask: the operator's keys, compared in constant time, and how much each may ask for at once."""

from __future__ import annotations

import hmac
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from models.domain.errors import KeyRefused, TooManyRequests


class Keys:
    """The operator's keys, none of which means that everybody may ask; requests under way are counted by key."""

    def __init__(self, keys: Sequence[str], at_once: int) -> None:
        self._keys, self._at_once = [key.encode() for key in keys], at_once
        self._lock, self._under_way = threading.Lock(), Counter[int]()

    def find(self, authorization: str) -> int:
        """The place of the key in an Authorization header, 0 where none is needed; raises KeyRefused."""
        kind, _, given = authorization.partition(" ")
        if not self._keys:
            return 0
        posted, found = given.strip().encode("utf-8", "replace"), -1
        for place, key in enumerate(self._keys):  # all of them, so that the time says nothing
            found = place if hmac.compare_digest(posted, key) else found
        if found < 0 or kind.lower() != "bearer":
            raise KeyRefused
        return found

    @contextmanager
    def counted(self, place: int) -> Iterator[None]:
        """One request more of a key while inside; raises TooManyRequests."""
        with self._lock:
            if self._under_way[place] >= self._at_once:
                raise TooManyRequests(limit=self._at_once)
            self._under_way[place] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[place] -= 1
