"""What per-token log-probabilities say of a model: formulas on plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..messages import Scored


def perplexity(log_probabilities: Sequence[float]) -> float:
    """exp of the mean negative log-probability (natural) of a token; the lower, the less surprised."""
    return math.exp(-sum(log_probabilities) / len(log_probabilities))


def bits_per_byte(log_probabilities: Sequence[float], text_bytes: int) -> float:
    """Bits that the text would take by this model, a byte of UTF-8; comparable between tokenizers."""
    return -sum(log_probabilities) / math.log(2) / text_bytes


def share(flags: Sequence[bool]) -> float:
    """The part of positions where something holds, such as top-1 agreement."""
    return sum(flags) / len(flags)


def mean(values: Sequence[float]) -> float:
    """The mean, such as of KL divergences in nats a token."""
    return sum(values) / len(values)


def parting(reference: Scored, other: Scored, start: int) -> int | None:
    """Where greedy answers part: tokens of the reference's answer before the first that the other would not take.

    Both scored the reference's prompt and answer; `start` is the number of prompt tokens. Places where the reference
    itself would take another token are artefacts of tokenizing the answer anew, and are passed over.
    """
    first = max(0, start - reference.offset)
    pairs = zip(reference.likeliest[first:], other.likeliest[first:], strict=False)
    return next((place for place, (own, others) in enumerate(pairs) if own and not others), None)


def summary(scored: Scored) -> dict[str, Any]:
    """A scored text as plain data for programs; `variant` is what computed it."""
    return {
        "variant": scored.variant,
        "tokens": list(scored.tokens),
        "log_probabilities": list(scored.log_probabilities),
        "perplexity": perplexity(scored.log_probabilities),
        "bits_per_byte": bits_per_byte(scored.log_probabilities, scored.bytes),
        "bytes": scored.bytes,
    }
