"""A slow call becomes a stream: its reports, heartbeats between them, its result or its exception."""

import threading
import time

import pytest

from models.compute import background
from models.compute.background import reported
from models.domain.messages import Progress

STAGE = Progress("download", detail="a model")


def read(stream):
    """What a generator yields, and what it returns."""
    seen = []
    while True:
        try:
            seen.append(next(stream))
        except StopIteration as end:
            return seen, end.value


def test_reports_in_order_and_the_result():
    steps = [Progress("download", done, 3) for done in (1, 2, 3)]

    def call(on_progress, cancelled):
        for step in steps:
            on_progress(step)
        return "path"

    assert read(reported(call, STAGE)) == (steps, "path")


def test_heartbeats_repeat_the_last_report(monkeypatch):
    monkeypatch.setattr(background, "HEARTBEAT_S", 0.02)
    go_on = threading.Event()

    def call(on_progress, cancelled):
        go_on.wait(10)
        go_on.clear()
        on_progress(Progress("download", 5, 10))
        go_on.wait(10)

    stream = reported(call, STAGE)
    assert [next(stream), next(stream)] == [STAGE, STAGE]
    go_on.set()
    assert next(step for step in stream if step != STAGE).done == 5
    assert next(stream).done == 5
    go_on.set()
    assert read(stream)[1] is None


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_the_calls_exception_is_raised_after_its_reports(error):
    def call(on_progress, cancelled):
        on_progress(STAGE)
        raise error

    stream = reported(call, Progress("load"))
    assert next(stream) is STAGE
    with pytest.raises(type(error)) as raised:
        next(stream)
    assert raised.value is error


def test_leaving_cancels_the_call_and_does_not_wait_for_it():
    release, answers = threading.Event(), []

    def call(on_progress, cancelled):
        answers.append(cancelled())
        on_progress(STAGE)
        release.wait(10)
        answers.append(cancelled())
        release.clear()

    stream = reported(call, STAGE)
    next(stream)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 1, "the call would have gone on for ten seconds"
    release.set()
    while release.is_set():
        time.sleep(0.001)
    assert answers == [False, True]


def test_nothing_runs_before_the_first_step():
    ran = threading.Event()
    reported(lambda on_progress, cancelled: ran.set(), STAGE).close()
    assert not ran.wait(0.05)
