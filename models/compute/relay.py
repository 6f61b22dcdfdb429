"""From a blocking stream to an event loop: a thread that reads it, and deltas put together to about ten a second."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

from ..domain.messages import Delta, Event, Thought
from ..domain.results.comparison import Step

T = TypeVar("T")
PAGE_UPDATE_S = 0.1


def pumped(
    start: Callable[[], Generator[Event, None, None]], stop: threading.Event | None = None
) -> AsyncGenerator[Event, None]:
    """The events of one answer for an event loop, about ten deltas a second.

    Setting `stop` ends the computation at its next event with the finish `cancelled`. Closing never waits.
    """
    halted = (stop or threading.Event()).is_set

    def whole() -> Generator[Event, None, None]:
        with closing(start()) as stream:
            yield from coalesced(until(stream, halted))

    return relayed(whole)


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

    # The context carries the visitor's request: their quota is asked for, not the app's.
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
        if isinstance(event, Delta | Thought):
            last = Delta("", event.usage, event.row)
        if halted() and last.usage.finish is None:
            yield replace(last, usage=replace(last.usage, finish="cancelled"))
            return


def coalesced(stream: Iterator[T], seconds: float = PAGE_UPDATE_S) -> Generator[T, None, None]:
    """The stream with deltas put together by column, and thoughts, so that one comes every so many `seconds`.

    The first text of a column and its last delta come at once, and so does whatever else there is.
    """
    held: dict[int, T] = {}
    begun: set[int] = set()
    sent = 0.0
    try:
        for item in stream:
            column, delta = (item.column, item.event) if isinstance(item, Step) else (0, item)
            waiting = held.pop(column, None)
            before = waiting.event if isinstance(waiting, Step) else waiting
            if waiting is not None and type(before) is not type(delta):
                yield waiting
            elif waiting is not None:
                delta = _together(before, delta)  # type: ignore[arg-type]
                item = replace(item, event=delta) if isinstance(item, Step) else delta  # type: ignore[assignment]
            if not isinstance(delta, Delta | Thought):
                yield item
                continue
            now = time.monotonic()
            first = bool(delta.text) and column not in begun
            if first or delta.usage.finish or now - sent >= seconds:
                begun |= {column} if first else set()
                sent = now
                yield item
            else:
                held[column] = item
    except Exception:
        yield from held.values()  # what was computed before a failure reaches the reader
        raise
    yield from held.values()


def _together(before: Delta | Thought, after: Delta | Thought) -> Delta | Thought:
    if isinstance(before, Thought) and isinstance(after, Thought):
        return replace(after, text=before.text + after.text, written=before.written + after.written)
    return replace(after, text=before.text + after.text)
