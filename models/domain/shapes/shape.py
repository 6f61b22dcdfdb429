"""A decoder as a list of layers, each with its weights and with what it keeps of a conversation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

# `linear` is an nn.Linear, which modes quantize and adapters change; `experts` are the matrices of all experts of a
# layer as one tensor, which is none; `table` is looked up; `small` is everything else: norms, biases, convolutions.
WeightKind = Literal["linear", "experts", "table", "small"]
LayerKind = Literal["full attention", "sliding attention", "linear attention", "short convolution", "Mamba", "unknown"]


@dataclass(frozen=True)
class Weight:
    """A parameter tensor under transformers' name for it, within its layer or within the model."""

    name: str
    sizes: tuple[int, ...]
    kind: WeightKind = "small"

    @property
    def parameters(self) -> int:
        return math.prod(self.sizes)


@dataclass(frozen=True)
class Layer:
    """One layer; `intermediate` is the width of its feed-forward for a token, `active` of so many `experts` included.

    It keeps `kv_width` values of each token (of the last `window`, where that is not 0), and of a conversation of any
    length `fp32_state` values in fp32 and, in the type of compute, the last inputs of a convolution that has a `kernel`
    of so many and is `conv_width` wide. While a prompt is read, it makes `scan` values in fp32 of each of its tokens.
    """

    kind: LayerKind
    weights: tuple[Weight, ...]
    intermediate: int
    experts: int = 0
    active: int = 0
    kv_width: int = 0
    window: int = 0
    conv_width: int = 0
    kernel: int = 0
    fp32_state: int = 0
    scan: int = 0

    @property
    def unused(self) -> int:
        """Parameters of the experts that a token does not use."""
        stacks = sum(weight.parameters for weight in self.weights if weight.kind == "experts")
        return stacks // self.experts * (self.experts - self.active) if self.experts else 0


@dataclass(frozen=True)
class Shape:
    """A decoder, enough to count its parameters and caches without its weights.

    `outside` are the weights outside of its layers but for the embeddings and the head, which is them where tied. Of an
    `estimated` one only the parameters that its files count are exact, and `uncounted` names kinds of layers of
    which nobody counted what they keep.
    """

    model_type: str
    hidden: int
    heads: int
    vocabulary: int
    tied_embeddings: bool
    layers: tuple[Layer, ...]
    outside: tuple[Weight, ...]
    estimated: bool = False
    uncounted: tuple[str, ...] = ()

    @cached_property
    def parameters(self) -> int:
        """Exact number of parameters, tied embeddings counted once."""
        weights = sum(weight.parameters for weight in self._inner())
        return weights + self.embedding_parameters * (1 if self.tied_embeddings else 2)

    @cached_property
    def active_parameters(self) -> int:
        """Those that one token uses: of a mixture the experts that it is routed to."""
        return self.parameters - sum(layer.unused for layer in self.layers)

    @property
    def embedding_parameters(self) -> int:
        """Of the input embeddings; the head has as many where it is not tied to them."""
        return self.vocabulary * self.hidden

    def counted(self, kind: WeightKind) -> int:
        """Parameters of one kind, embeddings and head left out."""
        return self._by_kind[kind]

    @cached_property
    def _by_kind(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for weight in self._inner():
            found[weight.kind] += weight.parameters
        return found

    @cached_property
    def linears(self) -> Counter[tuple[str, int, int]]:
        """How many linear modules there are of each (last part of the name, outputs, inputs), the head left out."""
        return Counter(
            (weight.name.split(".")[-2], weight.sizes[0], weight.sizes[1])
            for weight in self._inner()
            if weight.kind == "linear"
        )

    @cached_property
    def caches(self) -> Counter[tuple[int, int]]:
        """How many layers keep so many values of each token, of the last so many tokens (0: of all)."""
        return Counter((layer.kv_width, layer.window) for layer in self.layers if layer.kv_width)

    @cached_property
    def intermediate(self) -> int:
        """The widest feed-forward of a layer."""
        return max(layer.intermediate for layer in self.layers)

    @cached_property
    def scan(self) -> int:
        """The most fp32 values of a token that a layer's scan makes."""
        return max(layer.scan for layer in self.layers)

    @cached_property
    def experts(self) -> tuple[int, int]:
        """(experts of a layer, of which a token uses so many); zeros where no layer is a mixture."""
        return max((layer.experts, layer.active) for layer in self.layers)

    @cached_property
    def kinds(self) -> Counter[str]:
        """How many layers there are of each kind."""
        return Counter(layer.kind for layer in self.layers)

    def kv_bytes(self, context: int, bytes_per_value: int = 2) -> int:
        """Bytes of the keys and values of one sequence; layers with a window keep no more than it."""
        kept = sum(n * width * min(context, window or context) for (width, window), n in self.caches.items())
        return kept * bytes_per_value

    def state_bytes(self, bytes_per_value: int = 2, newest: bool = True) -> int:
        """Bytes of the state that linear attention, convolutions and Mamba keep of one sequence of any length.

        With the `newest` input of a convolution a whole kernel is kept; the next token needs those before it alone.
        """
        kept = sum(layer.conv_width * (layer.kernel - (not newest)) for layer in self.layers if layer.kernel)
        return kept * bytes_per_value + sum(layer.fp32_state * 4 for layer in self.layers)

    def _inner(self) -> Iterator[Weight]:
        for layer in self.layers:
            yield from layer.weights
        yield from self.outside
