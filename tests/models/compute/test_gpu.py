"""The door to the computation: data on the wire, an explicit end, and a pump that never blocks the page's loop."""

import asyncio
import contextvars
import logging
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from models.compute import gpu
from models.compute.gpu import coalesced, compute, events, pumped, relayed, seconds_needed, until
from models.compute.job import Answering, Load, Scoring
from models.domain.engine import Prompt
from models.domain.errors import ContextExceeded, EngineFailed, EngineLost
from models.domain.messages import END, Delta, Progress, Rendered, Sampling, Usage
from models.domain.settings import Settings
from models.domain.snapshot import Snapshot

LOAD = Load("m@gguf", Snapshot("m.gguf", "gguf", "folder", 100), "gguf", 64, 1, Settings())
JOB = Answering(LOAD, Sampling(), prompt="x")
STEPS = [Progress("read", 1, 2), Rendered("x"), Delta("a", Usage(new_tokens=1)), Delta("b", Usage(finish="stop"))]
TOO_LONG = ContextExceeded(prompt_tokens=900, context=64)


def stream(*items):
    """A stream of the items; an exception is raised in its place."""
    for item in items:
        if isinstance(item, BaseException):
            raise item
        yield item


def text_of(deltas):
    return "".join(delta.text for delta in deltas if isinstance(delta, Delta))


@pytest.fixture
def computing(monkeypatch):
    """Make the computation of any job these items."""

    def become(*items):
        monkeypatch.setattr(gpu, "run", lambda job: stream(*items))

    return become


# --- the wire -----------------------------------------------------------------------------------------------


def test_events_cross_as_plain_data_and_come_back(computing):
    computing(*STEPS)
    wire = list(compute(JOB))
    assert [data["kind"] for data in wire] == ["progress", "rendered", "delta", "delta", "end"]
    assert all(type(data) is dict for data in wire)
    assert list(events(JOB)) == STEPS


def test_a_known_error_crosses_whole_after_what_came_before(computing):
    computing(STEPS[2], TOO_LONG)
    assert list(compute(JOB))[-1] == END, "an exception would drop the worker"
    seen = []
    with pytest.raises(ContextExceeded, match="900 tokens") as raised:
        seen.extend(events(JOB))
    assert raised.value.facts == TOO_LONG.facts
    assert next(compute(JOB))["text"] == "a"


def test_an_unknown_error_is_logged_and_tells_nothing_of_its_words(computing, caplog):
    computing(KeyError("/home/operator/secret"))
    with caplog.at_level(logging.ERROR, "paddock"), pytest.raises(EngineFailed) as raised:
        list(events(JOB))
    assert raised.value.facts == {"detail": "KeyError"}
    assert "m@gguf" in caplog.text
    assert "secret" in caplog.text


@pytest.mark.parametrize("wire", [[], [{"kind": "rendered", "prompt": "x"}]])
def test_a_stream_that_just_ends_is_a_lost_engine(monkeypatch, wire):
    monkeypatch.setattr(gpu, "compute", lambda job: stream(*wire))
    with pytest.raises(EngineLost):
        list(events(JOB))


def test_leaving_closes_the_computation(monkeypatch):
    closed = []

    def run(job):
        try:
            yield from STEPS
        finally:
            closed.append(True)

    monkeypatch.setattr(gpu, "run", run)
    reader = events(JOB)
    next(reader)
    reader.close()
    assert closed == [True]


def test_seconds_needed_grow_with_the_load_and_the_tokens():
    def job(size, tokens):
        load = replace(JOB.load, snapshot=replace(JOB.load.snapshot, bytes=size))
        return replace(JOB, load=load, sampling=Sampling(max_new_tokens=tokens))

    sizes = [seconds_needed(job(size, 100)) for size in (10**8, 10**10, 10**11)]
    lengths = [seconds_needed(job(10**8, tokens)) for tokens in (1, 500, 4000)]
    assert sizes == sorted(set(sizes))
    assert lengths == sorted(set(lengths))
    assert 1 <= lengths[0] <= 15, "a short answer must not cost a visitor's quota"
    assert all(type(seconds) is int for seconds in sizes + lengths)


def test_quota_of_a_score_grows_with_the_text():
    seconds = [seconds_needed(Scoring(LOAD, Prompt("x" * length))) for length in (100, 20_000, 60_000)]
    assert seconds == sorted(set(seconds))
    assert 1 <= seconds[0] <= 15


# --- any stream, relayed ------------------------------------------------------------------------------------


def test_a_relayed_stream_is_stopped_at_its_next_item():
    stop, made = threading.Event(), []

    def numbers():
        for number in range(1000):
            made.append(number)
            yield number

    async def read():
        async for number in relayed(numbers, stop):
            if number == 0:
                stop.set()

    asyncio.run(read())
    assert len(made) < 1000


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
    monkeypatch.setattr(gpu, "time", SimpleNamespace(monotonic=lambda: now.seconds))
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
