"""What a step of pretraining takes in memory, by the longest documents, and the batch that fits; nothing is built."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from ..pretraining import Size
from .plan import Part
from .training_plan import KEPT_HIDDEN, KEPT_INTERMEDIATE, KEPT_LOGITS, VALUE_BYTES

HELD_OUT_AT_ONCE = 16  # held-out rows that are looked at together, at the least
_LOOKED_AT = 2  # copies of the logits at a look, which has no gradients
_STATE = 4  # values a parameter: itself, its gradient and both means of Adam


@dataclass(frozen=True)
class Longest:
    """Tokens of the longest rows of both splits, the longest first, as many as a step can have at the most."""

    train: Sequence[int]
    held_out: Sequence[int]


def parameters(size: Size, vocabulary: int) -> int:
    """How many values learn."""
    hidden, table = size.hidden, vocabulary * size.hidden
    if size.kind == "feed-forward":
        return 2 * table + vocabulary + hidden * (hidden + 1)
    keys = hidden * size.kv_heads // size.heads
    layer = 2 * hidden * (hidden + keys) + 3 * hidden * size.intermediate + 2 * hidden
    return table + size.layers * layer + hidden


def pretraining_parts(size: Size, vocabulary: int, rows: int, longest: Longest) -> tuple[Part, ...]:
    """The largest step of `rows` documents, or the largest look at held-out ones where that takes more; fp32.

    Of padding the layers compute values, the head none.
    """
    step, look = longest.train[:rows], longest.held_out[: max(rows, HELD_OUT_AT_ONCE)]
    intermediate = 0 if size.kind == "feed-forward" else KEPT_INTERMEDIATE * size.intermediate
    layer = KEPT_HIDDEN * size.hidden + intermediate
    state = Part("optimizer", "weights, gradients and Adam", _STATE * VALUE_BYTES * parameters(size, vocabulary))
    activations = len(step) * max(step) * size.layers * layer * VALUE_BYTES
    logits = sum(step) * KEPT_LOGITS * VALUE_BYTES * vocabulary
    looked_at = sum(look) * _LOOKED_AT * VALUE_BYTES * vocabulary
    if looked_at > activations + logits:
        return state, Part("logits", "logits of held-out documents", looked_at)
    return state, Part("activations", "activations", activations), Part("logits", "logits", logits)


def rows_that_fit(size: Size, vocabulary: int, rows: int, longest: Longest, free: int) -> int:
    """The most documents a step below `rows` that fit; 0 where not even one does."""

    def needed(tried: int) -> int:
        return sum(part.bytes for part in pretraining_parts(size, vocabulary, tried, longest))

    return bisect_right(range(1, rows), free, key=needed)
