"""What the process that talks to the Hub says about its progress, as JSON lines."""

from __future__ import annotations

import json
import time
from typing import Any

PAUSE_S = 0.1  # between two lines


def say(**message: Any) -> None:
    """One line to the process that asked."""
    print(json.dumps(message), flush=True)


class Meter:
    """Bytes of one request over all its files; without a total it only shows that something comes."""

    def __init__(self, total: int) -> None:
        self.total, self.whole, self.now, self.file = total, 0, 0, ""
        self._said = 0.0

    def show(self, now: int, size: int) -> None:
        """`now` of `size` bytes of the current file have come."""
        self.now = min(now, size)
        if time.monotonic() - self._said >= PAUSE_S:
            self._said = time.monotonic()
            self._say(self.whole + self.now)

    def finish(self, size: int) -> None:
        """The current file is whole."""
        self.whole += size
        self._say(self.whole)

    def _say(self, done: int) -> None:
        say(**({"progress": [done, self.total, self.file]} if self.total else {"bytes": done}))


def bar_class(meter: Meter, size: int) -> type:
    """A progress bar as huggingface_hub wants it (the part of tqdm that it calls), which feeds the meter."""

    class Bar:
        def __init__(self, *_: Any, total: int | None = None, initial: int = 0, **__: Any) -> None:
            self.total, self.n, self.transferred = total, initial, initial

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            meter.show(max(self.n, self.transferred), size)

        def update_transfer(self, count: float | None = 1) -> None:
            self.transferred += int(count or 0)
            meter.show(max(self.n, self.transferred), size)

        def _nothing(self, *_: Any, **__: Any) -> None:
            return None

        close = refresh = set_description = set_description_str = _nothing
        set_postfix_str = set_transfer_postfix_str = _nothing

    return Bar
