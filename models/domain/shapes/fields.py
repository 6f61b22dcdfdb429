"""The fields of a transformers config.json, read within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_LAYERS = 512
# Wide enough for any model published so far, narrow enough that a forged config cannot ask for absurd memory.
BOUNDS: dict[str, tuple[int, int]] = {
    "num_hidden_layers": (1, MOST_LAYERS),
    "hidden_size": (8, 65_536),
    "num_attention_heads": (1, 1024),
    "num_key_value_heads": (1, 1024),
    "head_dim": (2, 4096),
    "intermediate_size": (8, 1_048_576),
    "vocab_size": (16, 4_194_304),
    "max_position_embeddings": (16, 134_217_728),
    "sliding_window": (0, 134_217_728),
    "attention_chunk_size": (0, 134_217_728),
}
COMMON = (0, 1_048_576)  # of fields that are not listed
# Names of layer kinds that older configs use (transformers, configuration_utils.py).
# The other name of a field: transformers reads both, and writes one.
ALIASES = {"num_experts": "num_local_experts", "num_local_experts": "num_experts", "layer_types": "layers_block_type"}
LEGACY = {"attention": "full_attention", "mamba": "linear_attention", "short_conv": "conv"}


class BadConfig(ValueError):
    """A config.json that describes no model; its text is the end of a sentence."""


class Fields:
    """The fields of one config, with the defaults of its class for those that it does not state.

    `used` are the names that were asked for.
    """

    def __init__(self, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._stated, self._defaults = config, defaults
        self.used: set[str] = set()

    def given(self, name: str) -> Any:
        """The value as it is stated, or None."""
        names = [name, ALIASES[name]] if name in ALIASES else [name]
        self.used.update(names)
        for values in (self._stated, self._defaults):
            for one in names:
                if one in values:
                    return values[one]
        return None

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number within its bounds; `default` where it is not stated, or null."""
        value = self.given(name)
        return self.checked(name, default if value is None else value)

    def checked(self, name: str, value: Any) -> int:
        """The value of a field, which has to be a whole number within its bounds."""
        low, high = BOUNDS.get(name, COMMON)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise BadConfig(f"{name} in its config.json is {str(value)[:40]}, not a number of {low} to {high}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.given(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadConfig(f"{name} in its config.json is neither true nor false")
        return value

    def numbers(self, name: str) -> list[int] | None:
        """A list of numbers of layers, None where it is not stated."""
        value = self.given(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > MOST_LAYERS or not all(type(item) is int for item in value):
            raise BadConfig(f"{name} in its config.json is not a list of numbers")
        return value

    def kinds(self, known: Sequence[str]) -> list[str] | None:
        """The kind of each layer as transformers names it, None where they are not stated."""
        value = self.given("layer_types")
        if value is None:
            return None
        layers = self.size("num_hidden_layers")
        if not isinstance(value, list) or len(value) != layers:
            raise BadConfig(f"layer_types in its config.json is not a list of its {layers} layers")
        named = [LEGACY.get(str(item), str(item)) for item in value]
        if odd := [item for item in named if item not in known]:
            raise BadConfig(f"layer_types in its config.json has {odd[0][:40]}, a kind of layer that its model lacks")
        return named
