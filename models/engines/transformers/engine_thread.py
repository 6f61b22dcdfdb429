"""The one thread of this process on which torch is imported and computes.

A second thread that runs torch operations gets a second OpenMP pool, and the two spin against each other
(decode falls to about half on two cores). Callers come on changing threads, so the work goes to one that stays.
"""

from __future__ import annotations

import gc
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import cache, partial
from queue import SimpleQueue
from typing import Any, TypeVar, cast

T = TypeVar("T")
_END = object()


class EngineThread:
    """Runs jobs one after another, in the order they came; never dies of a job's exception.

    No ThreadPoolExecutor: at exit the interpreter waits for what its threads compute, and an answer takes minutes.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[], T]) -> T:
        """The job's result; blocks, and raises what it raised. Called on the thread itself, it just runs."""
        if threading.current_thread() is self._thread:
            return job()
        future: Future[T] = Future()
        self._jobs.put(partial(_settle, future, job))
        try:
            return future.result()
        finally:
            del future  # it refers to its exception, which will refer to this frame

    def stream(self, produce: Callable[[], Iterator[T]]) -> Stream[T]:
        """The items of a generator that runs on the thread, started by the first `next`."""
        return Stream(self, produce)

    def submit(self, job: Callable[[], None]) -> None:
        """Queue a job that handles its own exceptions."""
        if threading.current_thread() is self._thread:
            job()
        else:
            self._jobs.put(job)

    def _serve(self) -> None:
        while True:
            self._jobs.get()()  # nothing is bound to a name here, so a finished job leaves no reference behind


def _settle(future: Future[T], job: Callable[[], T]) -> None:
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(without_frames(error))


class Stream(Iterator[T]):
    """Items made on the engine thread, read on any other.

    `close()` may come from any thread, also while another waits in `next`: the generator is closed before it makes
    a second item more. Dropping the last reference closes too.
    """

    def __init__(self, thread: EngineThread, produce: Callable[[], Iterator[T]]) -> None:
        self._thread = thread
        self._state = _StreamState(produce)
        self._started = False

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> T:
        if not self._started:
            self._started = True
            self._thread.submit(self._state.pump)
        item: Any = _END if self._state.ended else self._state.items.get()
        if item is not _END:
            return cast("T", item)
        error, self._state.error = self._state.error, None
        self._state.end()
        try:
            raise error or StopIteration
        finally:
            del error

    def close(self) -> None:
        """Stop producing; items that were not read are dropped."""
        self._state.end()

    def __del__(self) -> None:
        self.close()


class _StreamState:
    """What reader and producer share; it does not refer to the Stream, so that an abandoned one is collected."""

    def __init__(self, produce: Callable[[], Iterator[Any]]) -> None:
        self.items: SimpleQueue[Any] = SimpleQueue()
        self.ended = False
        self.error: BaseException | None = None  # to raise after the items
        self._produce: Callable[[], Iterator[Any]] | None = produce

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.items.put(_END)  # wakes a reader

    def pump(self) -> None:
        produce, self._produce = self._produce, None
        try:
            if produce is not None and not self.ended:
                self._relay(produce())
        except BaseException as error:
            if not self.ended:
                self.error = without_frames(error)
        self.items.put(_END)

    def _relay(self, items: Iterator[Any]) -> None:
        try:
            for item in items:
                if self.ended:
                    return
                self.items.put(item)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()


def without_frames(error: BaseException) -> BaseException:
    """The same exception, keeping its traceback as text only: frames hold models, and would hold their memory."""
    text = "".join(traceback.format_exception(error))
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        waiting += [current.__cause__, current.__context__]
    if not getattr(error, "__notes__", None):
        error.add_note(f"On the engine thread:\n{text}")
    return error


_current: EngineThread | None = None
_lock = threading.Lock()


def engine_thread() -> EngineThread:
    """The thread of this process; a forked process gets its own."""
    global _current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = EngineThread()
        return _current


def _after_fork() -> None:
    global _lock, _current
    _lock, _current = threading.Lock(), None  # the parent may have held the lock; its thread is not here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def prepare_torch(threads: int) -> None:
    """Import torch and transformers on this thread, the engine thread, with so many compute threads."""
    # Transformers' loading pool would run torch operations on four more threads; on ZeroGPU it hangs.
    os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    import transformers

    transformers.logging.disable_progress_bar()
    _freeze_libraries()


@cache
def _freeze_libraries() -> None:
    """Take what is there for good out of every later collection, which costs 0.3 s when it looks at all of it."""
    gc.collect()
    gc.freeze()
