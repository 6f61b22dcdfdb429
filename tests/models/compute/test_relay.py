"""Streams for an event loop: read in a thread, deltas put together, left without waiting."""

import asyncio
import contextvars
import threading
import time
from types import SimpleNamespace

import pytest
from canned import STEPS, TOO_LONG, stream

from models.compute import relay
from models.compute.relay import coalesced, pumped, relayed, until
from models.domain.errors import ContextExceeded
from models.domain.messages import Delta, Rendered, Thought, Usage


def text_of(deltas):
    return "".join(delta.text for delta in deltas if isinstance(delta, Delta))


# --- any stream, relayed ------------------------------------------------------------------------------------


def test_a_relayed_stream_is_stopped_at_its_next_item():
    stop, made = threading.Event(), []

    def numbers():
        for number in range(1000):
            made.append(number)
            yield number
            stop.wait(10)  # or all of them could be made before the first is read

    async def read():
        async for number in relayed(numbers, stop):
            if number == 0:
                stop.set()

    asyncio.run(read())
    assert made in ([0], [0, 1])


def test_leaving_a_relayed_stream_closes_it_without_waiting():
    closed, go_on = threading.Event(), threading.Event()

    def slow():
        try:
            yield 1
            go_on.wait(10)
            yield 2
        finally:
            closed.set()

    async def read_one():
        stream = relayed(slow)
        assert await anext(stream) == 1
        await asyncio.wait_for(stream.aclose(), 1)

    asyncio.run(read_one())
    go_on.set()
    assert closed.wait(5)


# --- fewer, larger deltas -----------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """The clock that `coalesced` reads, set by hand."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(relay, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def ticking(clock, seconds, texts, finish="stop"):
    """A delta every `seconds`, then the last one."""
    for number, text in enumerate(texts, 1):
        clock.seconds += seconds
        yield Delta(text, Usage(new_tokens=number))
    yield Delta("", Usage(new_tokens=len(texts), finish=finish))


def test_about_ten_updates_a_second_and_no_text_lost(clock):
    texts = [f"{n} " for n in range(500)]
    shown = list(coalesced(ticking(clock, 0.01, texts)))
    assert 45 <= len(shown) <= 60, "5 seconds"
    assert text_of(shown) == "".join(texts)
    assert shown[-1].usage == Usage(new_tokens=500, finish="stop")


def test_slow_deltas_pass_one_by_one(clock):
    assert [delta.text for delta in coalesced(ticking(clock, 0.2, "abc"))] == ["a", "b", "c", ""]


def test_the_first_text_comes_at_once_although_something_was_sent_just_before(clock):
    shown = coalesced(stream(Delta(""), Delta("a"), Delta("b"), Delta("c"), Delta("d", Usage(finish="stop"))))
    assert [delta.text for delta in shown] == ["", "a", "bcd"]


def test_other_events_pass_at_once(clock):
    assert list(coalesced(stream(*STEPS))) == STEPS
    assert next(coalesced(stream(STEPS[0], TOO_LONG))) == STEPS[0]


def test_text_before_a_failure_is_kept(clock):
    shown = []
    with pytest.raises(ContextExceeded):
        shown.extend(coalesced(stream(Delta("a"), Delta("b"), Delta("c"), TOO_LONG)))
    seen = coalesced(stream(Delta("a"), Delta("b"), Delta("c"), TOO_LONG))
    assert [next(seen).text, next(seen).text] == ["a", "bc"]
    with pytest.raises(ContextExceeded):
        next(seen)


def test_thoughts_are_put_together_apart_from_the_answer(clock):
    thoughts, deltas = [Thought(one, f"<{one}>") for one in "abc"], [Delta(one) for one in "xyz"]
    assert list(coalesced(stream(*thoughts, *deltas))) == [
        Thought("a", "<a>"), Thought("bc", "<b><c>"), Delta("xyz"),
    ]  # fmt: skip


def test_text_without_a_finish_is_kept(clock):
    assert text_of(coalesced(stream(Delta("a"), Delta("b"), Delta("c")))) == "abc"


# --- until somebody stops -----------------------------------------------------------------------------------


def test_until_passes_everything_when_nobody_stops():
    assert list(until(stream(*STEPS), lambda: False)) == STEPS


def test_until_ends_with_a_cancelled_delta_that_keeps_the_figures():
    endless = (Delta("a", Usage(new_tokens=n)) for n in range(1, 10**9))
    seen = []
    for event in until(endless, lambda: len(seen) >= 2):
        seen.append(event)
    assert seen[:-1] == [Delta("a", Usage(new_tokens=1)), Delta("a", Usage(new_tokens=2))]
    assert seen[-1] == Delta("", Usage(new_tokens=2, finish="cancelled"))


def test_until_ends_while_loading_and_leaves_a_finished_answer_as_it_is():
    assert list(until(stream(*STEPS), lambda: True)) == [STEPS[0], Delta("", Usage(finish="cancelled"))]
    assert list(until(stream(STEPS[3]), lambda: True)) == [STEPS[3]]


# --- the pump -----------------------------------------------------------------------------------------------


async def collect(items, seen=None):
    """What an asynchronous stream yields; `seen` has it even where the stream fails."""
    seen = [] if seen is None else seen
    async for item in items:
        seen.append(item)
    return seen


def test_pump_passes_events_and_reraises():
    async def main():
        assert await collect(pumped(lambda: stream(*STEPS[:2], STEPS[3]))) == [*STEPS[:2], STEPS[3]]
        for error in (TOO_LONG, ValueError("no")):
            seen = []
            with pytest.raises(type(error)) as raised:
                await collect(pumped(lambda error=error: stream(Delta("a"), Delta("b"), error)), seen)
            assert raised.value is error
            assert text_of(seen) == "ab"

    asyncio.run(main())


def test_pump_carries_context_variables():
    visitor = contextvars.ContextVar("visitor", default="nobody")

    def who():
        yield Rendered(visitor.get())

    async def main():
        visitor.set("the visitor")
        assert await collect(pumped(who)) == [Rendered("the visitor")]

    asyncio.run(main())


class Blocking:
    """A computation whose second step takes `seconds`, as a prefill does."""

    def __init__(self, seconds):
        self.seconds, self.blocked, self.closed = seconds, threading.Event(), threading.Event()

    def __call__(self):
        try:
            yield Delta("a", Usage(new_tokens=1))
            self.blocked.set()
            time.sleep(self.seconds)
            for count in range(2, 10**6):
                yield Delta("b", Usage(new_tokens=count))
        finally:
            self.closed.set()


def test_closing_does_not_wait_for_a_blocked_producer_and_ends_it_afterwards():
    work = Blocking(1.5)

    async def main():
        answer = pumped(work)
        await anext(answer)
        await asyncio.to_thread(work.blocked.wait)
        started = time.monotonic()
        await answer.aclose()
        assert time.monotonic() - started < 0.75
        assert not work.closed.is_set()

    asyncio.run(main())
    assert work.closed.wait(10)


def test_stop_ends_with_a_cancelled_delta():
    work, stop = Blocking(0), threading.Event()

    async def main():
        seen = []
        async for event in pumped(work, stop):
            seen.append(event)
            stop.set()
        return seen

    seen = asyncio.run(main())
    assert seen[-1].usage.finish == "cancelled"
    assert seen[-1].usage.new_tokens == len(text_of(seen)), "the figures are of the text that was shown"
    assert work.closed.wait(10)


def test_nobody_else_on_the_loop_waits_for_a_visitor_who_stops():
    stalls = []

    async def somebody_else():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            stalls.append(time.monotonic() - before)

    async def stops():
        work, stop = Blocking(1.5), threading.Event()
        reading = asyncio.create_task(collect(pumped(work, stop)))
        await asyncio.to_thread(work.blocked.wait)
        stop.set()
        assert (await reading)[-1].usage.finish == "cancelled"

    async def closes_the_page():
        work = Blocking(1.5)
        reading = asyncio.create_task(collect(pumped(work)))
        await asyncio.to_thread(work.blocked.wait)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert not work.closed.is_set()

    async def main():
        other = asyncio.create_task(somebody_else())
        await asyncio.gather(stops(), closes_the_page())
        other.cancel()

    asyncio.run(main())
    assert len(stalls) > 20
    assert max(stalls) < 0.5, "a blocking step of 1.5 s must not reach the loop"
