"""The one door through which everything that computes on this machine goes.

On ZeroGPU `lent` runs in a forked worker: the call and each event are pickled, an exception drops the warm worker, and
a stream that just ends may mean that the worker died. So errors travel as data and the end is explicit. Elsewhere
the same is computed in this process.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..domain.errors import EngineFailed, EngineLost, GpuTimeUsed, PaddockError, from_dict
from ..domain.messages import END, Delta, Event, Progress, Rendered, Thought, from_wire, to_wire
from ..engines.device import on_zero_gpu
from ..system import stubs
from .background import with_beats
from .estimate import SPEEDS, packed_variants, work_of
from .job import BEFORE, LOADING, NO_DEADLINE, Deadline, Job, needs_gpu, run
from .known_workers import WORKERS, Worker
from .quota import charged_s, declared_s
from .refusals import refusal
from .runs import noted
from .scheduler import PLACE, QueuePlace, make_queue_leavable
from .worker import MARGIN_S, SPOILING, Call, served

with stubs.left_out():
    import spaces  # on ZeroGPU it imports Gradio

log = logging.getLogger("paddock")
SILENCE_S = 0.25  # after which a reader hears that there is nothing new, so that it can leave
FOR_A_GPU = Progress("waiting", detail="for a GPU")
CONNECT_S = 10.0

if on_zero_gpu():
    make_queue_leavable()


@spaces.GPU(duration=lambda call: declared_s(call.seconds))  # type: ignore[untyped-decorator]
def lent(call: Call) -> Iterator[dict[str, Any]]:
    """The jobs of a call on a GPU that is lent for it."""
    yield from served(call, compute)


def compute(job: Job, deadline: Deadline = NO_DEADLINE) -> Generator[dict[str, Any], None, None]:
    """The events of a job as plain data, closed by an explicit end."""
    try:
        with closing(run(job, deadline)) as events:  # type: ignore[type-var]
            for event in events:
                yield to_wire(event)
    except PaddockError as error:
        yield to_wire(error)
    except Exception as error:
        log.exception("computing %s failed", job.load.variant)
        yield to_wire(EngineFailed(detail=type(error).__name__))
    yield END


def events(job: Job) -> Generator[Event, None, None]:
    """The events of a job, wherever it is computed; raises PaddockError.

    No GPU is asked for what another machine computes.
    """
    if needs_gpu(job.load):
        with Lease(SPEEDS.seconds([work_of(job)], job.load.settings.gpu_seconds), further=False) as lease:
            yield from lease.events(job)
        return
    yield from noted(job, _here(job))


def _here(job: Job) -> Generator[Event, None, None]:
    with closing(compute(job)) as wire:
        for data in wire:
            if data["kind"] == "end":
                return
            yield from_wire(data)
    raise EngineLost


class Lease:
    """One GPU call for the jobs of one press, asked for with the first that needs it; `seconds` are declared.

    With `further`, more jobs than one are to come. What ZeroGPU refuses once, it is not asked again.
    """

    def __init__(self, seconds: int, further: bool = True) -> None:
        self.seconds, self._further = seconds, further
        self._call: _GpuCall | None = None
        self._refused: PaddockError | None = None
        self._declared, self._since, self._used_s = 0, 0.0, 0.0  # the first two of what no job was charged yet
        self._taken: Worker | None = None
        self._waits: Worker | None = None  # once this call is over
        self._idle = True

    def __enter__(self) -> Lease:
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _take(self) -> None:
        self._taken = self._waits = WORKERS.take()

    def _leave(self) -> None:
        call, self._call = self._call, None
        over = partial(WORKERS.over, self._taken, self._waits)
        self._taken = self._waits = None
        if call is not None:
            call.leave()
        if call is None or self._idle:
            over()
        else:  # a stopped worker is busy until it hears of it
            call.over.add_done_callback(lambda _: over())

    def events(self, job: Job) -> Generator[Event, None, None]:
        """The events of a job, with the last kind of them again while nothing comes; raises PaddockError."""
        if not needs_gpu(job.load):
            yield from events(job)
            return
        yield from noted(job, self._on_gpu(job), self._spent)

    def _spent(self) -> tuple[int, float]:
        """Seconds that were declared and used since the job before."""
        declared, self._declared = self._declared, 0
        now = time.monotonic()
        used = now - self._since if self._since else 0.0  # else no GPU came
        self._since = now if self._since and self._call else 0.0
        self._used_s += used
        return declared, used

    def _on_gpu(self, job: Job) -> Generator[Event, None, None]:
        if self._refused is not None:
            raise from_dict(self._refused.to_dict())
        self._idle = False
        try:
            yield from self._answered(job)
            self._idle = True
        except PaddockError as error:
            self._idle = error.code not in SPOILING  # else the worker has gone, and a next job gets another
            if not self._idle:
                self._waits = None
            raise
        finally:
            if not self._idle:
                self._leave()

    def _asked(self, job: Job) -> _GpuCall:
        """A call for what is left of the press, at least for this job."""
        needed = max(SPEEDS.needed_s([work_of(job)]), self.seconds - self._used_s)
        if self._used_s:
            self._take()
        return _GpuCall(charged_s(needed, self.seconds), job, self._further)

    def _send(self, job: Job) -> None:
        assert self._call is not None
        try:
            self._call.send(job)
        except PaddockError as error:
            self._refused = error
            if isinstance(error, EngineLost):
                self._waits = None
            raise

    def _answered(self, job: Job) -> Generator[Event, None, None]:
        last: Event = FOR_A_GPU
        began = time.monotonic()
        failure: PaddockError | None = None
        if self._call is not None:
            self._send(job)
        else:
            self._call = self._asked(job)
        before = self._waits or Worker()
        there = packed_variants() | before.models | {line["name"] for line in WORKERS.lines}
        yield last
        while True:
            try:
                data = self._call.next()
            except PaddockError as error:
                if self._since:
                    self._waits = None
                self._refused = error
                raise
            if data["kind"] == "end":
                self._waits = Worker(tuple(data["held"]))
                if failure is not None:
                    raise failure
                return
            if data["kind"] == "begun":
                SPEEDS.note_start(data["start_s"])
                self._declared, self._since = self._call.seconds, self._call.begun_at(data["start_s"])
                if data["start_s"]:
                    there, self._waits = packed_variants(), Worker()
                else:  # where a load may take the place of other models
                    self._waits = Worker(before.lines if job.load.variant in before.models else ())
                last, began = Progress("read"), time.monotonic()
            elif data["kind"] != "beat":
                try:
                    last = from_wire(data)
                except PaddockError as error:  # its end is still to come
                    failure = error
                    if isinstance(error, GpuTimeUsed) and error.facts["during"] == LOADING:
                        SPEEDS.note_slow_load(job, time.monotonic() - began)
                    continue
                SPEEDS.note(job, last, there)
                yield last
                last = _silent(last)
                continue
            yield last


def _silent(event: Event) -> Event:
    """What says the same as an event once more, and brings nothing new."""
    if isinstance(event, Delta | Thought):
        return Delta("", event.usage, event.row)
    return Progress("prefill") if isinstance(event, Rendered) else event


class _GpuCall:
    """Our end of a GPU call under way."""

    def __init__(self, seconds: int, job: Job, further: bool) -> None:
        self._began, self.seconds = time.monotonic(), seconds
        self._deadline = NO_DEADLINE  # of the worker, which ends by itself then
        self.over: Future[None] = Future()  # once ZeroGPU has the GPU back
        self._place = QueuePlace()
        self._folder = tempfile.TemporaryDirectory(prefix="paddock-gpu-") if further else None
        self._socket: socket.socket | None = None
        address = ""
        if self._folder is not None:
            address = str(Path(self._folder.name, "jobs"))
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind(address)
            self._socket.listen(1)
            self._socket.settimeout(CONNECT_S)
        self._peer: socket.socket | None = None  # the worker
        call = Call(seconds, job, address)

        def start() -> Generator[dict[str, Any], None, None]:
            PLACE.set(self._place)  # in the context of the thread that waits in the queue
            try:
                with closing(lent(call)) as wire:
                    for data in wire:
                        self._place.over()
                        yield data
            finally:
                self.over.set_result(None)

        self._wire = with_beats(start, SILENCE_S)

    def next(self) -> dict[str, Any]:
        """What came, or a beat; raises PaddockError for whatever ends the call before it should."""
        try:
            return next(self._wire) or {"kind": "beat"}
        except StopIteration:
            raise self._lost() from None
        except Exception as error:
            log.warning("a GPU call failed: %s", error)
            raise refusal(error, self.seconds, time.monotonic() - self._began) from error

    def send(self, job: Job) -> None:
        """A further job; raises EngineLost when the worker is not there to take it, GpuTimeUsed when its time is up."""
        try:
            if self._peer is None:
                assert self._socket is not None
                self._peer, _ = self._socket.accept()
            with Connection(os.dup(self._peer.fileno())) as worker:
                worker.send(job)
        except OSError as error:
            raise self._lost() from error

    def begun_at(self, start_s: float) -> float:
        """When the GPU was there, as time.monotonic(), of a worker that began to compute so many seconds later: now."""
        began = time.monotonic() - start_s
        self._deadline = Deadline(began + self.seconds - MARGIN_S, self.seconds)
        return began

    def _lost(self) -> PaddockError:
        return EngineLost() if self._deadline.left_s else self._deadline.used(BEFORE)

    def leave(self) -> None:
        """Give the GPU back, end a worker that only starts, or leave the queue; does not wait."""
        self._place.leave()
        self._wire.close()
        for end in filter(None, (self._peer, self._socket)):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # a worker that was forked meanwhile may have it open, too
            end.close()
        if self._folder is not None:
            self._folder.cleanup()
