"""A worker after a failure: what spoils it, and that nobody gets a spoiled one, also when nobody reads on."""

import socket
import threading
import time

import pytest
from canned import TOO_LONG

from models.compute import worker
from models.compute.job import Answering
from models.compute.worker import BEAT_S, Call, WorkerSpoiled, served
from models.domain.errors import CannotLoad, EngineFailed, GpuFailed, OutOfMemory
from models.domain.load import Load, Local, Snapshot
from models.domain.messages import END, Sampling, to_wire
from models.domain.settings import Settings

JOB = Answering(
    Load("m@bf16", Local(Snapshot("m", "safetensors", "folder", 100), "bf16", 64, 1), Settings()), Sampling()
)
READ = {"kind": "progress"}
UNKNOWN = [
    EngineFailed(detail="KeyError"),
    CannotLoad(file="The model", reason="KeyError"),
    GpuFailed(detail="CUDA error: device-side assert"),
]


@pytest.fixture
def ended(monkeypatch):
    """This process as a worker; the list tells when it would have ended itself."""
    ends = []
    monkeypatch.setattr(worker, "_age_s", lambda: 0.0)
    monkeypatch.setattr(worker, "_end_with_the_app", lambda: None)
    monkeypatch.setattr(worker, "_end", lambda: ends.append(True))
    monkeypatch.setattr(worker, "_with_held", lambda end, job: end)
    return ends


def within(seconds, condition):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("failure", UNKNOWN)
def test_an_unknown_failure_in_a_load_or_an_answer_spoils_the_worker_once_it_is_told(ended, failure):
    seen = []
    with pytest.raises(WorkerSpoiled):
        seen.extend(served(Call(60, JOB), lambda job, deadline: (event for event in [to_wire(failure), END])))
    assert not ended


@pytest.mark.parametrize("failure", [OutOfMemory(during="while loading"), TOO_LONG])
def test_a_known_one_does_not(ended, failure):
    events = list(served(Call(60, JOB), lambda job, deadline: (event for event in [to_wire(failure), END])))
    assert events[-1] == END
    assert not ended


@pytest.mark.parametrize("failure", UNKNOWN)
def test_a_reader_who_leaves_at_the_failure_leaves_no_spoiled_worker(ended, failure):
    events = served(Call(60, JOB), lambda job, deadline: (event for event in [to_wire(failure), END]))
    while next(events).get("code") != failure.code:
        pass
    events.close()
    assert ended


@pytest.mark.parametrize("in_the_end", [False, True])
def test_nor_one_who_left_before_it(ended, in_the_end):
    left = threading.Event()

    def compute(job, deadline):
        try:
            yield READ
            left.wait(5)
            if not in_the_end:
                yield to_wire(UNKNOWN[0])
            yield END
        finally:
            if in_the_end:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

    events = served(Call(60, JOB), compute)
    while next(events) != READ:
        pass
    events.close()
    assert not ended
    left.set()
    assert within(2, lambda: ended)


def test_one_who_leaves_a_sound_worker_leaves_it_to_the_next(ended):
    events = served(Call(60, JOB), lambda job, deadline: (event for event in [READ, END]))
    while next(events) != READ:
        pass
    events.close()
    assert not within(0.3, lambda: ended)


def test_a_worker_that_waits_for_jobs_ends_before_it_is_ended(ended, tmp_path):
    address, began = str(tmp_path / "jobs"), time.monotonic()
    with socket.socket(socket.AF_UNIX) as app:
        app.bind(address)
        app.listen(1)
        events = served(Call(2, JOB, address), lambda job, deadline: (event for event in [READ, END]))
        assert [event for event in events if event["kind"] in ("progress", "end")] == [READ, END]
    assert 1 - BEAT_S < time.monotonic() - began < 2
