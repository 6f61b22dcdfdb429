"""Leaving ZeroGPU's queue: `spaces` waits for a GPU, and for a worker that starts, in calls that nothing can end.

So its HTTP client is wrapped, and a new worker is made known to who may leave.
"""

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
        self._worker: Any = None

    def leave(self) -> None:
        """Close the connection that waits, or end the worker that starts, if there is one.

        A GPU that is given all the same is given back at once.
        """
        with self._turn:
            self._left = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            if self._worker is not None:
                self._worker.kill()  # `spaces` gives its GPU back then

    def required(self) -> None:
        """Raise LeftQueue if it was left."""
        if self._left:
            raise LeftQueue

    def see(self, response: Any) -> None:
        """A response whose body is still to come; one that is no queue says at once what GPU was given, if any."""
        if "text/event-stream" not in response.headers.get("content-type", ""):
            return
        stream = response.extensions.get("network_stream")
        with self._turn:
            self._socket = stream.get_extra_info("socket") if stream else None
        self.required()

    def starts(self, worker: Any) -> None:
        """A process that nothing is heard of until it has the GPU."""
        with self._turn:
            self._worker = worker
            if self._left:
                worker.kill()

    def over(self) -> None:
        """Nothing waits any more."""
        with self._turn:
            self._socket = self._worker = None


PLACE: ContextVar[QueuePlace | None] = ContextVar("PLACE", default=None)


def make_queue_leavable() -> None:
    """Let the calls of `spaces` in a context with a PLACE be left; once, on ZeroGPU."""
    from spaces.zero import client, wrappers

    plain = client.api_client

    def api_client() -> Any:
        made, place = plain(), PLACE.get()
        return made if place is None else _Leavable(made, place)

    client.api_client = api_client

    begin = wrappers.Worker.__init__

    def made_known(worker: Any, *asked: Any) -> None:
        begin(worker, *asked)
        if (place := PLACE.get()) is not None:
            place.starts(worker.process)

    wrappers.Worker.__init__ = made_known


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
