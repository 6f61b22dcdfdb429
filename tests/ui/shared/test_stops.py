"""Whose answer a Stop button ends."""

import asyncio

from ui.shared.stops import Stops


def test_stop_and_a_new_answer_end_only_the_visitors_own():
    stops = Stops()
    first, other = stops.begin("me"), stops.begin("other")
    second = stops.begin("me")
    assert (first.is_set(), second.is_set()) == (True, False)
    stops.stop("me")
    assert (second.is_set(), other.is_set()) == (True, False)


def test_the_end_of_an_older_answer_leaves_the_newer_one_stoppable():
    stops = Stops()
    first, second = stops.begin("me"), stops.begin("me")
    stops.end("me", first)
    stops.stop("me")
    assert second.is_set()


def test_an_answer_that_is_over_is_forgotten_and_stopping_it_does_not_stop_the_next():
    stops = Stops()
    event = stops.begin("me")
    stops.end("me", event)
    stops.stop("me")
    assert not event.is_set()
    assert not stops._running, "no visitor is kept for ever"
    assert not stops.begin("me").is_set()


def test_silence_waits_for_an_answer_that_still_sends():
    stops = Stops()
    event = stops.begin("me")

    async def clear_while_it_streams():
        async def stream():
            while not stops.dropped("me", event):
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            stops.end("me", event)
            order.append("last words")

        order = []
        streaming = asyncio.create_task(stream())
        await stops.silence("me")
        order.append("silent")
        await streaming
        return order

    assert asyncio.run(clear_while_it_streams()) == ["last words", "silent"]


def test_silence_is_at_once_when_nothing_runs(monkeypatch):
    monkeypatch.setattr("ui.shared.stops.LONGEST_WAIT_S", 60.0)
    asyncio.run(asyncio.wait_for(Stops().silence("me"), 1))
