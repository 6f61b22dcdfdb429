"""What a forked worker does in one GPU call: its first job, and those that the app sends it until the call is over."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing.connection import Connection
from typing import Any

from ..domain.errors import CannotLoad, EngineFailed, GpuFailed
from ..domain.messages import END
from .background import with_beats
from .job import Deadline, Job, computing_process

BEAT_S = 0.2  # how long a worker is silent at most, since it hears of a stop only when it says something
MARGIN_S = 1.0  # of what was asked for, kept to say how it ended
BEAT = {"kind": "beat"}
# After these nobody knows what state the GPU is in.
SPOILING = frozenset({EngineFailed.code, CannotLoad.code, GpuFailed.code})
_APP = os.getpid()


@dataclass(frozen=True)
class Call:
    """So many seconds of a GPU, the first job, and the socket where further ones come from, if any do."""

    seconds: int
    job: Job
    address: str = ""


class WorkerSpoiled(Exception):
    """Something unknown went wrong here, and nobody shall meet what it left behind."""


def served(call: Call, compute: Any) -> Iterator[dict[str, Any]]:
    """Events of each job as `compute` writes them, each closed by its end, and beats in between.

    Raises WorkerSpoiled, after which the worker is not used again. Once a reader has left, `spaces` hears of nothing,
    and a spoiled worker ends itself.
    """
    spent = _age_s()
    deadline = Deadline(time.monotonic() + call.seconds - spent - MARGIN_S, call.seconds)
    _end_with_the_app()
    yield {"kind": "begun", "start_s": spent}
    for job in _jobs(call, deadline):
        if job is None:
            yield BEAT
            continue
        sound = _Soundness()
        try:
            with closing(with_beats(partial(_noticed, partial(compute, job, deadline), sound), BEAT_S)) as events:
                for event in events:
                    yield _with_held(event, job) if event == END else event or BEAT
        except GeneratorExit:
            sound.leave()
            raise
        if sound.spoiled.is_set():
            raise WorkerSpoiled


class _Soundness:
    """Whether a job leaves this worker as it was; the thread that computes may learn it after its reader has left."""

    def __init__(self) -> None:
        self.spoiled, self._left = threading.Event(), threading.Event()

    def spoil(self) -> None:
        """Say that it does not."""
        self.spoiled.set()
        if self._left.is_set():
            _end()

    def leave(self) -> None:
        """Say that nobody reads any more."""
        self._left.set()
        if self.spoiled.is_set():
            _end()


def _noticed(
    start: Callable[[], Generator[dict[str, Any], None, None]], sound: _Soundness
) -> Generator[dict[str, Any], None, None]:
    """The events of a job, of which `sound` hears what spoils, also when nobody reads them any more."""
    try:
        with closing(start()) as events:
            for event in events:
                if event.get("code") in SPOILING:
                    sound.spoil()
                yield event
    except Exception:
        sound.spoil()
        raise


def _end() -> None:
    """The app takes a new worker in place of one that has ended."""
    os._exit(1)


def _with_held(end: dict[str, Any], job: Job) -> dict[str, Any]:
    """The end with what is in this worker's memory."""
    held = computing_process(job.load.settings).pool.held()
    return end | {"held": [asdict(line) for line in held]}


def _jobs(call: Call, deadline: Deadline) -> Generator[Job | None, None, None]:
    """The jobs in turn, and None while the next is awaited; they end when the app closes the connection, or in time."""
    yield call.job
    if not call.address:
        return
    with socket.socket(socket.AF_UNIX) as end:
        try:
            end.connect(call.address)
        except OSError:  # the call was over meanwhile
            return
        with Connection(os.dup(end.fileno())) as app:
            while True:
                if not app.poll(BEAT_S):
                    if not deadline.left_s:
                        return  # before ZeroGPU ends this worker, which another call can use
                    yield None
                    continue
                try:
                    job = app.recv()
                except (EOFError, OSError):
                    return
                yield job


def _age_s() -> float:
    """Seconds that a worker has lived before its first call, of which they are a part; 0 afterwards."""
    import psutil

    born = 0.0 if _end_with_the_app.cache_info().currsize else psutil.Process().create_time()
    return max(0.0, time.time() - born) if born else 0.0


@cache
def _end_with_the_app() -> None:
    """End this worker soon after the app, whatever it computes then: nobody else does."""

    def watch() -> None:
        while os.getppid() == _APP:
            time.sleep(BEAT_S)
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="paddock-app-watch").start()
