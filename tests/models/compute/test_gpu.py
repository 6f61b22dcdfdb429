"""The door to the computation: data on the wire, and an explicit end."""

import logging

import pytest
from canned import STEPS, TOO_LONG, stream

from models.compute import gpu
from models.compute.gpu import compute, events
from models.compute.job import Answering
from models.domain.errors import ContextExceeded, EngineFailed, EngineLost
from models.domain.load import Load, Local, Snapshot
from models.domain.messages import END, Sampling
from models.domain.settings import Settings

HERE = Local(Snapshot("m.gguf", "gguf", "folder", 100), "gguf", 64, 1)
LOAD = Load("m@gguf", HERE, Settings())
JOB = Answering(LOAD, Sampling(), prompt="x")


@pytest.fixture
def computing(monkeypatch):
    """Make the computation of any job these items."""

    def become(*items):
        monkeypatch.setattr(gpu, "run", lambda job, deadline: stream(*items))

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

    def run(job, deadline):
        try:
            yield from STEPS
        finally:
            closed.append(True)

    monkeypatch.setattr(gpu, "run", run)
    reader = events(JOB)
    next(reader)
    reader.close()
    assert closed == [True]
