"""What a training tells of itself while it runs, beside plain progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .messages import Progress


@dataclass(frozen=True)
class Step(Progress):
    """A look at a run: losses in nats a token, `held_out` as last looked at; `seconds_left` is an estimate.

    `peak` is the share of the matmul speed that was measured at the start, where it was.
    """

    tokens: int = 0
    loss: float = 0.0
    held_out: float = 0.0
    tokens_per_s: float = 0.0
    peak: float = 0.0
    seconds_left: float = 0.0


@dataclass(frozen=True)
class Said(Progress):
    """A line that stays: the counts of the data, what was measured at the start, a point of the curves, a sample."""

    facts: Mapping[str, Any] | None = None
