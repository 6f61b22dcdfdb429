"""The one thread of this process on which torch is imported and computes.

A second thread that runs torch operations gets a second OpenMP pool, and the two spin against each other
(decode falls to about half on two cores). Callers come on changing threads, so the work goes to one that stays.
"""

from __future__ import annotations

import gc
import importlib
import os
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from functools import cache, partial
from queue import SimpleQueue
from typing import TypeVar

from ...domain.shapes.read import KNOWN
from ..device import give_back_memory
from ..library_errors import translated

T = TypeVar("T")


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

    def stream(self, produce: Callable[[], Generator[T, None, None]]) -> Generator[T, None, None]:
        """The items of a generator that runs on the thread, for a reader on any other; started by the first `next`.

        Closed or dropped, it makes at most one item more.
        """
        arrived: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
        left = threading.Event()
        self._jobs.put(partial(_relay, produce, arrived, left))
        del produce  # it holds a model, and an exception would hold this frame
        try:
            while isinstance(item := arrived.get(), tuple):
                yield item[0]
        finally:
            left.set()
        if item is not None:
            raise item

    def _serve(self) -> None:
        while True:
            self._jobs.get()()  # nothing is bound to a name here, so a finished job leaves no reference behind


def _settle(future: Future[T], job: Callable[[], T]) -> None:
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(without_frames(error))


def _relay(
    produce: Callable[[], Generator[T, None, None]],
    arrived: SimpleQueue[tuple[T] | BaseException | None],
    left: threading.Event,
) -> None:
    try:
        with closing(produce()) as items:
            for item in items:
                if left.is_set():
                    return
                arrived.put((item,))
        arrived.put(None)
    except BaseException as error:
        arrived.put(without_frames(error))


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


class _ThisThread(EngineThread):
    """Runs jobs where they come from."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def run(self, job: Callable[[], T]) -> T:
        return job()


@contextmanager
def on_this_thread() -> Iterator[None]:
    """Meanwhile the calling thread is the engine thread, in a process where nothing is computed on any other."""
    global _current
    before, _current = _current, _ThisThread()
    try:
        yield
    finally:
        _current = before


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
    # From Hopper on, cuDNN is torch's first choice, and makes a plan for each new length, which is every token.
    torch.backends.cuda.enable_cudnn_sdp(False)
    import transformers

    transformers.logging.disable_progress_bar()
    _freeze_libraries()


LIBRARIES = (
    *(
        "accelerate",
        "bitsandbytes",
        "peft",
        "safetensors.torch",
        "tokenizers",
        "transformers.integrations.bitsandbytes",
    ),
    *("jinja2.ext", "jinja2.sandbox", "llguidance", "llguidance.hf", "psutil", "pynvml", "encodings.idna"),
)
NAMES = ("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer", "BitsAndBytesConfig", "DynamicCache")
OWN = ("answering", "engine", "grammar", "loader", "scoring")  # with what they import


def import_for_workers() -> None:
    """What a forked worker would import for a load or an answer, which takes seconds and waits for ever for a lock
    that another thread holds at the fork."""
    for module in LIBRARIES:
        importlib.import_module(module)
    import transformers
    from transformers.models.auto.configuration_auto import model_type_to_module_name

    for name in NAMES:
        getattr(transformers, name)
    for model_type in KNOWN:
        name = model_type_to_module_name(model_type)
        importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    for module in OWN:
        importlib.import_module(f"{__package__}.{module}")


def computed(job: Callable[[], T], threads: int, during: str) -> T:
    """A job's result, from the engine thread with so many compute threads; what it leaves of memory is given back.

    `during` completes “not enough memory …”, like “while training”. Raises PaddockError.
    """

    def work() -> T:
        prepare_torch(threads)
        try:
            with translated(during):
                return job()
        finally:
            give_back_memory()

    return engine_thread().run(work)


@cache
def _freeze_libraries() -> None:
    """Take what is there for good out of every later collection, which costs 0.3 s when it looks at all of it."""
    gc.collect()
    gc.freeze()
