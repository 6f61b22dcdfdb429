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
        conversation it belongs to; the caller gets a cut copy, which shares memory. So does one that cannot be cut:
        a prompt that parts from it later finds it again.
        """
        entries = [key for key, entry in self._entries.items() if entry.made_with == made_with]
        best = max(entries, key=lambda key: _usable(self._entries[key], ids), default=None)
        if best is None or not (length := _usable(self._entries[best], ids)):
            return None, 0
        entry = self._entries[best]
        if not can_be_cut(entry.cache):
            self._entries.move_to_end(best)
            return snapshot(entry.cache), length
        if length == len(entry.ids):
            self._drop(best)
            return entry.cache, length
        # Not refreshed: a shared system prompt must not keep it before conversations that go on.
        cut = snapshot(entry.cache)
        cut.crop(length - len(entry.ids))
        return cut, length

    def put(self, ids: Sequence[int], cache: Any, made_with: str = "") -> None:
        """Keep a cache for the tokens that it really holds, the first ones of `ids`."""
        held = tuple(ids[: cache.get_seq_length()])
        entry = _Entry(held, cache, _bytes(cache), made_with)
        for key, other in list(self._entries.items()):
            # It holds nothing that the new one does not, unless only the whole of that can be used.
            spare = can_be_cut(cache) or len(other.ids) == len(held)
            if spare and other.made_with == made_with and held[: len(other.ids)] == other.ids:
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
    return length if length == len(entry.ids) or can_be_cut(entry.cache) else 0


def can_be_cut(cache: Any, tokens: int = 0) -> bool:
    """Whether what it holds, or will with so many `tokens`, can become what it was some tokens before.

    A layer with a sliding window has forgotten what lies before it, and the state of linear attention, a convolution or
    Mamba is of the last token alone.
    """
    for layer in cache.layers:
        if hasattr(layer, "conv_states"):
            return False
        if getattr(layer, "is_sliding", False) and max(tokens, layer.get_seq_length()) >= layer.sliding_window:
            return False
    return True


def snapshot(cache: Any) -> Any:
    """A copy that stays as it is while the other goes on; keys and values are shared, for layers never change them."""
    held = copy.copy(cache)
    held.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in held.layers:
        for name in STATES:
            states = getattr(layer, name, {})
            if states:  # these are written over in place
                setattr(layer, name, {key: state if state is None else state.clone() for key, state in states.items()})
        for name in FLAGS:
            if hasattr(layer, name):
                setattr(layer, name, dict(getattr(layer, name)))
    return held


STATES = ("conv_states", "recurrent_states")
FLAGS = ("is_conv_states_initialized", "is_recurrent_states_initialized", "has_previous_state", "conv_kernel_size")


def _bytes(cache: Any) -> int:
    """What it holds in memory, with what was cut off."""
    held = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    held += [state for layer in cache.layers for name in STATES for state in getattr(layer, name, {}).values()]
    return sum(tensor.untyped_storage().nbytes() for tensor in held if tensor is not None)
