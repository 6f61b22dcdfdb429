"""Which computation a visitor's Stop button ends."""

from __future__ import annotations

import threading


class Stops:
    """One running answer a visitor; a new one ends the one before."""

    def __init__(self) -> None:
        self._running: dict[str, threading.Event] = {}

    def begin(self, visitor: str) -> threading.Event:
        """The event that the new answer watches."""
        self.drop(visitor)
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

    def dropped(self, visitor: str, event: threading.Event) -> bool:
        """Whether an answer has lost its place."""
        return self._running.get(visitor) is not event

    def end(self, visitor: str, event: threading.Event) -> None:
        """Forget an answer that is over."""
        if self._running.get(visitor) is event:
            del self._running[visitor]
