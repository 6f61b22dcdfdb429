"""What a press will cost of a GPU that is lent for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class GpuCost:
    """Seconds that are charged, in so many calls, whose `size` counts double if it is xlarge.

    0 seconds where nothing of a press needs a GPU. With `cut`, an answer may end before its last token, since the
    limit of a call is reached.
    """

    seconds: int
    calls: int
    size: Literal["large", "xlarge"] = "large"
    cut: bool = False
