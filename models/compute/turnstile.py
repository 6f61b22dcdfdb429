"""One engine computes at a time on a machine; the same engine lets in as many as it has slots, in order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Hashable, Iterator
from contextlib import contextmanager

from ..domain.messages import Progress
from .background import HEARTBEAT_S


class Turnstile:
    """Two engines that compute at once slow each other down many times, so they take turns."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: list[Hashable] = []
        self._waiting: deque[object] = deque()

    @contextmanager
    def ticket(self, engine: Hashable, slots: int) -> Iterator[Generator[Progress, None, None]]:
        """A place in the queue, given back at the end; exhaust the value before computing."""
        place = object()
        with self._changed:
            self._waiting.append(place)
        try:
            yield self._wait(place, engine, slots)
        finally:
            with self._changed:
                if place in self._waiting:
                    self._waiting.remove(place)
                else:
                    self._inside.remove(engine)
                self._changed.notify_all()

    def _wait(self, place: object, engine: Hashable, slots: int) -> Generator[Progress, None, None]:
        while True:
            with self._changed:
                ahead = self._waiting.index(place) + len(self._inside)
                if self._changed.wait_for(lambda: self._may_enter(place, engine, slots), HEARTBEAT_S):
                    self._waiting.popleft()
                    self._inside.append(engine)
                    self._changed.notify_all()
                    return
            yield Progress("waiting", detail=f"{ahead} ahead")

    def _may_enter(self, place: object, engine: Hashable, slots: int) -> bool:
        others = any(inside != engine for inside in self._inside)
        return self._waiting[0] is place and not others and len(self._inside) < slots
