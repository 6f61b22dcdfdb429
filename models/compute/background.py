"""Turn a slow call that reports progress by a callback into a stream that a reader can leave at any time."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import closing, suppress
from typing import Generic, TypeVar

from ..domain.messages import Progress

T = TypeVar("T")
S = TypeVar("S")
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


class Returning(Generic[S, T]):
    """A generator to iterate over, whose `value` is afterwards what it returned."""

    value: T

    def __init__(self, steps: Generator[S, None, T]) -> None:
        self._steps = steps

    def __iter__(self) -> Generator[S, None, None]:
        self.value = yield from self._steps


def with_beats(start: Callable[[], Generator[T, None, None]], seconds: float) -> Generator[T | None, None, None]:
    """The items of a generator that runs in a thread of its own, and None whenever none came for so many `seconds`.

    Closing it does not wait: the generator is closed at its next item.
    """
    arrived: queue.SimpleQueue[tuple[T] | BaseException | None] = queue.SimpleQueue()
    left = threading.Event()

    def pump() -> None:
        end: BaseException | None = None
        try:
            with closing(start()) as items:
                for item in items:
                    arrived.put((item,))
                    if left.is_set():
                        break
        except BaseException as error:
            end = error
        arrived.put(end)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(pump,), daemon=True, name="paddock-beats").start()
    try:
        while True:
            try:
                item = arrived.get(timeout=seconds)
            except queue.Empty:
                yield None
                continue
            if not isinstance(item, tuple):
                break
            yield item[0]
    finally:
        left.set()
    if item is not None:
        raise item
