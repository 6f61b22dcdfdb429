"""The one door through which everything computes, and the pump that keeps the page's event loop free of it.

On ZeroGPU `compute` runs in a forked worker: the job and each event are pickled, an exception would drop the warm
worker, and a stream that just ends may mean that the worker died. So errors travel as data and the end is explicit.
Elsewhere `spaces.GPU` is a no-op and the same generator runs in this process.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any, TypeVar

import spaces

from ..domain.errors import EngineFailed, EngineLost, PaddockError
from ..domain.messages import END, Delta, Event, from_wire, to_wire
from .job import AnsweringRows, Job, Scoring, run

log = logging.getLogger("paddock")
T = TypeVar("T")

PAGE_UPDATE_S = 0.1
# A slow day of the shared GPU.
LOAD_BYTES_PER_S, START_S, DECODE_TOKENS_PER_S, SCORE_CHARACTERS_PER_S = 1e9, 5, 25, 2000


def seconds_needed(job: Job) -> int:
    """What a visitor's quota is asked for: the load, and every token at a slow day's speed."""
    load = START_S + job.load.snapshot.bytes / LOAD_BYTES_PER_S
    if isinstance(job, Scoring):
        return round(load + len(job.prompt.text) / SCORE_CHARACTERS_PER_S)
    rows = len(job.rows) if isinstance(job, AnsweringRows) else 1
    return round(load + rows * job.sampling.max_new_tokens / DECODE_TOKENS_PER_S)


@spaces.GPU(duration=seconds_needed)  # type: ignore[untyped-decorator]
def compute(job: Job) -> Iterator[dict[str, Any]]:
    """The events of a job as plain data, closed by an explicit end."""
    try:
        with closing(run(job)) as events:  # type: ignore[type-var]
            for event in events:
                yield to_wire(event)
    except PaddockError as error:
        yield to_wire(error)
    except Exception as error:
        log.exception("computing %s failed", job.load.variant)
        yield to_wire(EngineFailed(detail=type(error).__name__))
    yield END


def events(job: Job) -> Generator[Event, None, None]:
    """The events of a job, wherever it is computed; raises PaddockError."""
    with closing(compute(job)) as wire:
        for data in wire:
            if data == END:
                return
            yield from_wire(data)
    raise EngineLost


async def pumped(
    start: Callable[[], Generator[Event, None, None]], stop: threading.Event | None = None
) -> AsyncGenerator[Event, None]:
    """A blocking stream for an event loop, its deltas put together to about ten a second.

    Closing this never waits for the computation, which ends at its next event; setting `stop` ends it the same way,
    and the stream then closes with a delta whose usage says `cancelled`.
    """
    stop = stop or threading.Event()

    def whole() -> Generator[Event, None, None]:
        with closing(start()) as stream:
            yield from coalesced(until(stream, stop.is_set))

    async with aclosing(relayed(whole)) as events:
        async for event in events:
            yield event


async def relayed(
    start: Callable[[], Generator[T, None, None]], stop: threading.Event | None = None
) -> AsyncGenerator[T, None]:
    """A blocking stream for an event loop, computed in a thread that ends at the first item after this is closed.

    Closing never waits; setting `stop` ends the stream at its next item.
    """
    loop, arrived, left = asyncio.get_running_loop(), asyncio.Queue[T | BaseException | None](), threading.Event()
    stop = stop or threading.Event()

    def send(item: T | BaseException | None) -> None:
        if not left.is_set():
            loop.call_soon_threadsafe(arrived.put_nowait, item)

    def pump() -> None:
        end: BaseException | None = None
        try:
            with closing(start()) as stream:
                for item in stream:
                    send(item)
                    if stop.is_set() or left.is_set():
                        break
        except BaseException as error:
            end = error
        send(end)

    # The context carries the visitor's request: his quota is asked for, not the app's.
    threading.Thread(target=contextvars.copy_context().run, args=(pump,), daemon=True, name="paddock-pump").start()
    try:
        while (item := await arrived.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()


def until(stream: Iterator[Event], halted: Callable[[], bool]) -> Iterator[Event]:
    """The stream, ended by a `cancelled` delta at the first event after `halted` became true."""
    last = Delta("")
    for event in stream:
        yield event
        if isinstance(event, Delta):
            last = event
        if halted() and last.usage.finish is None:
            yield Delta("", replace(last.usage, finish="cancelled"))
            return


def coalesced(stream: Iterator[Event], seconds: float = PAGE_UPDATE_S) -> Iterator[Event]:
    """The stream with the deltas of each `seconds` put together; the first text and the last delta come at once."""
    held: Delta | None = None
    sent, started = 0.0, False
    try:
        for event in stream:
            if not isinstance(event, Delta):
                yield event
                continue
            held = Delta(held.text + event.text if held else event.text, event.usage)
            first = bool(held.text) and not started
            now = time.monotonic()
            if first or event.usage.finish or now - sent >= seconds:
                started = started or first
                yield held
                held, sent = None, now
    except Exception:
        if held is not None:
            yield held  # what was computed before a failure reaches the reader
        raise
    if held is not None:
        yield held
