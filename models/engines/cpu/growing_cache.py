"""A key-value cache with room for more tokens: the next one is written into it, and those before are not copied."""

from __future__ import annotations

from functools import cache
from typing import Any

BLOCK = 256  # tokens; room is made for so many at a time


def empty_cache(config: Any) -> Any:
    """Transformers' DynamicCache for a model of this configuration, its layers of full attention growing in blocks."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    empty = DynamicCache(config=config)
    empty.layers = [growing_layer()() if type(layer) is DynamicLayer else layer for layer in empty.layers]
    return empty


@cache
def growing_layer() -> type:
    """The class of such a layer."""
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):  # type: ignore[misc]
        """As transformers' own, with keys and values that are the used part of a room.

        Copies of a layer share its room. One writes into it only behind its own last token, where nothing is yet;
        else it takes a room of its own, so that no copy ever changes.
        """

        keys: Any
        values: Any
        room: _Room | None = None

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            """Keys and values so far, [rows, heads, tokens, size], with the new ones at their end."""
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            length, new = self.get_seq_length(), key_states.shape[-2]
            if self.room is None or not self.room.goes_on_from(self.keys, length, new):
                self.room = _Room(key_states, value_states, -(-(length + new) // BLOCK) * BLOCK)
                if length:
                    self.room.append(self.keys, self.values)
            self.keys, self.values = self.room.append(key_states, value_states)
            return self.keys, self.values

    return GrowingLayer


class _Room:
    """Memory for `tokens` keys and values like those given, of which the first `used` are written."""

    def __init__(self, keys: Any, values: Any, tokens: int) -> None:
        self.tokens, self.used = tokens, 0
        self._keys, self._values = (x.new_empty(*x.shape[:-2], tokens, x.shape[-1]) for x in (keys, values))

    def goes_on_from(self, keys: Any, length: int, new: int) -> bool:
        """Whether `keys` are all that is written in it, and so many `new` ones fit behind them."""
        return self.used == length <= self.tokens - new and keys.data_ptr() == self._keys.data_ptr()

    def append(self, keys: Any, values: Any) -> tuple[Any, Any]:
        """Write behind what is there; returns all of it."""
        start, self.used = self.used, self.used + keys.shape[-2]
        self._keys[..., start : self.used, :] = keys
        self._values[..., start : self.used, :] = values
        return self._keys[..., : self.used, :], self._values[..., : self.used, :]
