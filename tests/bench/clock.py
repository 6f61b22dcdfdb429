"""A streamer of transformers that only notes when each token came; imported as a script's neighbour, too."""

from __future__ import annotations

import time
from typing import Any


class Clock:
    """`times` of time.perf_counter; the first `put` is the prompt."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, ids: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass
