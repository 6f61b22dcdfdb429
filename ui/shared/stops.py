"""Which computation a visitor's Stop button ends."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

LONGEST_WAIT_S = 2.0
LOOK_S = 0.02


class Stops:
    """One running answer a visitor; a new one ends the one before."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Event] = {}
        self._under_way: Counter[str] = Counter()  # handlers that may still send something

    def begin(self, visitor: str) -> threading.Event:
        """The event that the new answer watches."""
        self.drop(visitor)
        self._under_way[visitor] += 1
        event = self._running[visitor] = threading.Event()
        return event

    def stop(self, visitor: str) -> None:
        """End the visitor's answer, if one is running; what it has so far stays."""
        if event := self._running.get(visitor):
            event.set()

    def drop(self, visitor: str) -> None:
        """End the visitor's answer, which has no place on the page any more: cleared, undone or asked anew."""
        if event := self._running.pop(visitor, None):
            event.set()

    async def silence(self, visitor: str) -> None:
        """Drop the visitor's answer, and wait until it sends nothing more that would bring it back."""
        self.drop(visitor)
        for _ in range(round(LONGEST_WAIT_S / LOOK_S)):
            if not self._under_way[visitor]:
                return
            await asyncio.sleep(LOOK_S)

    def dropped(self, visitor: str, event: threading.Event) -> bool:
        """Whether an answer has lost its place."""
        return self._running.get(visitor) is not event

    def end(self, visitor: str, event: threading.Event) -> None:
        """Forget an answer that is over."""
        self._under_way[visitor] -= 1
        if not self._under_way[visitor]:
            del self._under_way[visitor]
        if self._running.get(visitor) is event:
            del self._running[visitor]
