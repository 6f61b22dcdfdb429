"""Leaving ZeroGPU's queue: `spaces` waits for a GPU in a call that nothing can end, so its HTTP client is wrapped."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any


class LeftQueue(Exception):
    """Who had asked for a GPU does not want it any more."""


class QueuePlace:
    """One place in the queue, which can be left from any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._left = False
        self._socket: socket.socket | None = None

    def leave(self) -> None:
        """Close the connection that waits, if one does; a GPU that is given all the same is given back at once."""
        with self._turn:
            self._left = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def required(self) -> None:
        """Raise LeftQueue if it was left."""
        if self._left:
            raise LeftQueue

    def see(self, response: Any) -> None:
        """A response whose body is still to come."""
        stream = response.extensions.get("network_stream")
        with self._turn:
            self._socket = stream.get_extra_info("socket") if stream else None
        self.required()

    def over(self) -> None:
        """Nothing waits any more."""
        with self._turn:
            self._socket = None


PLACE: ContextVar[QueuePlace | None] = ContextVar("PLACE", default=None)


def make_queue_leavable() -> None:
    """Let the calls of `spaces` in a context with a PLACE be left; once, on ZeroGPU."""
    from spaces.zero import client

    plain = client.api_client

    def api_client() -> Any:
        made, place = plain(), PLACE.get()
        return made if place is None else _Leavable(made, place)

    client.api_client = api_client


class _Leavable:
    """The client of `spaces`, whose `schedule` ends when its place is left."""

    def __init__(self, made: Any, place: QueuePlace) -> None:
        self._made, self._place = made, place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def schedule(self, **asked: Any) -> Any:
        self._place.required()
        hooks = self._made.client.event_hooks["response"]
        hooks.append(self._place.see)
        given, known = self._made.schedule(**asked)
        hooks.clear()
        if hasattr(given, "allowToken"):
            self._taken(given)
        elif hasattr(given, "send"):  # a generator of the queue's events
            return self._waiting(given), known
        return given, known

    def _waiting(self, queue: Any) -> Iterator[Any]:
        for event in queue:
            if event.data is not None:
                self._taken(event.data)
            self._place.required()
            yield event

    def _taken(self, given: Any) -> None:
        self._place.over()
        try:
            self._place.required()
        except LeftQueue:
            self._made.release(given.allowToken)
            raise
