"""Turn a slow call that reports progress by a callback into a stream that a reader can leave at any time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from ..domain.messages import Progress

T = TypeVar("T")
OnProgress = Callable[[Progress], None]
Cancelled = Callable[[], bool]
HEARTBEAT_S = 0.5


def reported(call: Callable[[OnProgress, Cancelled], T], stage: Progress) -> Generator[Progress, None, T]:
    """Run `call(on_progress, cancelled)` in a thread and yield what it reports, at least every half second.

    Returns the call's result, raises its exception. Leaving the stream makes `cancelled()` true, and does not wait.
    """
    reports: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
    left = threading.Event()
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(call(reports.put, left.is_set))
        except BaseException as error:
            outcome.set_exception(error)
        reports.put(None)

    threading.Thread(target=work, daemon=True, name=f"paddock-{stage.stage}").start()
    try:
        while True:
            with suppress(queue.Empty):
                if (report := reports.get(timeout=HEARTBEAT_S)) is None:
                    break
                stage = report
            yield stage
    finally:
        left.set()
    return outcome.result()


def exhausted(steps: Generator[Progress, None, T], on_progress: OnProgress) -> T:
    """What a stream of progress returns at its end, for a caller that has nothing else to do meanwhile."""
    while True:
        try:
            on_progress(next(steps))
        except StopIteration as end:
            return end.value
