"""Key-value caches kept between requests, so that a conversation's next turn computes only its new tokens."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ENTRIES = 8
LIMIT_BYTES = {"cpu": 512 * 2**20, "cuda": 2 * 2**30, "mps": 512 * 2**20}


@dataclass(frozen=True)
class _Entry:
    ids: tuple[int, ...]
    cache: Any
    bytes: int
    made_with: str  # the adapters that acted: the same tokens have other keys and values under others


class PrefixCache:
    """A few caches with the tokens they hold, least recently used ones dropped first.

    Used on the engine thread only. What `take` returns belongs to the caller until it is `put` back.
    """

    def __init__(self, limit_bytes: int, entries: int = ENTRIES) -> None:
        self._limit_bytes, self._limit_entries = limit_bytes, entries
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._next_key = 0
        self.bytes = 0  # kept as a number, since other threads ask for it

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, ids: Sequence[int], made_with: str = "") -> tuple[Any, int]:
        """A cache of the same adapters that holds the longest beginning of `ids`, and its length; else (None, 0).

        The last token is left to compute, since its logits are needed. An entry that holds more stays, for the
        conversation it belongs to; the caller gets a cut copy, which shares memory.
        """
        entries = [key for key, entry in self._entries.items() if entry.made_with == made_with]
        best = max(entries, key=lambda key: _usable(self._entries[key], ids), default=None)
        if best is None or not (length := _usable(self._entries[best], ids)):
            return None, 0
        entry = self._entries[best]
        if length == len(entry.ids):
            self._drop(best)
            return entry.cache, length
        # Not refreshed: a shared system prompt must not keep it before conversations that go on.
        cut = copy.copy(entry.cache)
        cut.layers = [copy.copy(layer) for layer in cut.layers]  # layers never change what a copy holds
        cut.crop(length - len(entry.ids))
        return cut, length

    def put(self, ids: Sequence[int], cache: Any, made_with: str = "") -> None:
        """Keep a cache for the tokens that it really holds, the first ones of `ids`."""
        held = tuple(ids[: cache.get_seq_length()])
        entry = _Entry(held, cache, _bytes(cache), made_with)
        for key, other in list(self._entries.items()):
            # It holds nothing that the new one does not.
            if other.made_with == made_with and held[: len(other.ids)] == other.ids:
                self._drop(key)
        if not held or entry.bytes > self._limit_bytes:
            return
        self._entries[self._next_key] = entry
        self._next_key += 1
        self.bytes += entry.bytes
        while len(self._entries) > self._limit_entries or self.bytes > self._limit_bytes:
            self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        self._entries.clear()
        self.bytes = 0

    def _drop(self, key: int) -> None:
        self.bytes -= self._entries.pop(key).bytes


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens the two begin with in common."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def _usable(entry: _Entry, ids: Sequence[int]) -> int:
    length = min(common_length(entry.ids, ids), len(ids) - 1)
    return length if length == len(entry.ids) or _can_be_cut(entry.cache) else 0


def _can_be_cut(cache: Any) -> bool:
    """A layer with a sliding window has forgotten what lies before it, so it cannot go back once the window is full."""
    if not cache.is_croppable:
        return False
    return all(
        layer.get_seq_length() < layer.sliding_window for layer in cache.layers if getattr(layer, "is_sliding", False)
    )


def _bytes(cache: Any) -> int:
    """What it holds in memory, with what was cut off."""
    tensors = (tensor for layer in cache.layers for tensor in (layer.keys, layer.values) if tensor is not None)
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)
