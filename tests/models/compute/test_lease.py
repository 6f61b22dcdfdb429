"""What a press is declared with, by what the calls before left in the workers of ZeroGPU."""

from types import SimpleNamespace

import pytest
from canned import stream

from models.compute import estimate, gpu, runs
from models.compute.estimate import MARGIN_S, START_S, Speeds, work_of
from models.compute.gpu import Lease
from models.compute.job import LOADING, Answering
from models.compute.known_workers import Workers
from models.domain.errors import EngineFailed, EngineLost, GpuTimeUsed, PaddockError
from models.domain.load import Load, Local, Room, Snapshot
from models.domain.messages import END, Delta, Sampling, Usage, to_wire
from models.domain.settings import Settings

LOAD_S = 2.0  # of 2 GB, at the guessed speed
JOB = Answering(
    Load("m@bf16", Local(Snapshot("m", "safetensors", "hub", 2 * 10**9), "bf16", 64, 1, Room(0)), Settings()),
    Sampling(max_new_tokens=1),
    prompt="x",
)
LINE = {"name": "m@bf16", "engine": "transformers"}
ANSWER = to_wire(Delta("a", Usage(new_tokens=1, load_s=3.0, finish="length")))


def begun(start_s=0.0):
    return {"kind": "begun", "start_s": start_s}


def held(*lines):
    return END | {"held": list(lines)}


@pytest.fixture
def lending(monkeypatch):
    """Every job computes on a GPU, and each call gets the next of `answers`; `calls` are what was asked for."""
    workers, speeds = Workers(), Speeds()
    for module in (gpu, estimate):
        monkeypatch.setattr(module, "WORKERS", workers)
    monkeypatch.setattr(gpu, "SPEEDS", speeds)
    monkeypatch.setattr(gpu, "needs_gpu", lambda load: True)
    told = SimpleNamespace(workers=workers, speeds=speeds, answers=[], calls=[])

    def lent(call):
        told.calls.append(call)
        return stream(*told.answers.pop(0))

    monkeypatch.setattr(gpu, "lent", lent)
    return told


def pressed(lending, *wire, seconds=20):
    lending.answers.append(wire)
    with Lease(seconds, further=False) as lease:
        return list(lease.events(JOB))


def beyond_the_work(lending):
    """Seconds that are declared for the start and the load."""
    work = work_of(JOB)
    return round(lending.speeds.needed_s([work]) - MARGIN_S - lending.speeds._work_s(work), 6)


def test_who_comes_while_the_only_worker_is_busy_is_declared_a_start_and_a_load(lending):
    assert beyond_the_work(lending) == pytest.approx(START_S + LOAD_S)
    pressed(lending, begun(START_S), ANSWER, held(LINE))
    assert beyond_the_work(lending) == 0, "a worker waits, and has the model"
    lending.answers.append((begun(), ANSWER, ANSWER, held(LINE)))
    with Lease(20, further=False) as lease:
        answer = lease.events(JOB)
        next(answer)
        assert beyond_the_work(lending) == pytest.approx(START_S + 3.0), "at the speed of its load before"
        assert [line["name"] for line in lending.workers.lines] == ["m@bf16"], "it is shown all the same"
        list(answer)
    assert beyond_the_work(lending) == 0


def test_a_model_is_counted_on_only_if_every_worker_that_waits_has_it(lending):
    pressed(lending, begun(START_S), ANSWER, held(LINE))
    first = lending.workers.take()
    pressed(lending, begun(START_S), ANSWER, held(LINE | {"name": "other"}))
    lending.workers.over(first, first)
    assert beyond_the_work(lending) == pytest.approx(3.0)


def test_a_model_that_only_began_to_load_is_not_there_and_is_given_twice_the_time(lending):
    pressed(lending, begun(START_S), ANSWER, held())
    slow = to_wire(GpuTimeUsed(declared=9, during=LOADING))
    with pytest.raises(GpuTimeUsed):
        pressed(lending, begun(), slow, held(LINE | {"engine": ""}))
    lending.speeds.note_slow_load(JOB, 8.0)
    assert beyond_the_work(lending) == pytest.approx(16.0)
    with pytest.raises(GpuTimeUsed):
        pressed(lending, begun(), to_wire(GpuTimeUsed(declared=9, during="before this began")), held())
    assert beyond_the_work(lending) == pytest.approx(16.0), "which says nothing of a load"


def test_a_worker_that_has_packed_models_alone_is_there_too(lending):
    pressed(lending, begun(START_S), ANSWER, held())
    assert beyond_the_work(lending) == pytest.approx(3.0), "the load, and no start"


def test_a_refusal_leaves_the_worker_that_waits_and_a_failure_does_not(lending):
    pressed(lending, begun(START_S), ANSWER, held(LINE))
    lending.answers.append(())
    with pytest.raises(PaddockError), Lease(20) as lease:
        list(lease.events(JOB))
    assert beyond_the_work(lending) == 0
    with pytest.raises(EngineFailed):
        pressed(lending, begun(), to_wire(EngineFailed(detail="KeyError")), held(LINE))
    assert beyond_the_work(lending) == pytest.approx(START_S + 3.0)


def test_the_start_of_a_worker_is_used_and_after_a_spoiled_one_the_rest_is_declared(lending, monkeypatch):
    logged = []
    monkeypatch.setattr(runs.COUNTS, "add", logged.append)
    lending.answers = [
        (begun(5.0), to_wire(EngineFailed(detail="KeyError")), held()),
        (begun(2.0), ANSWER, held(LINE)),
    ]
    with Lease(20) as lease:
        with pytest.raises(EngineFailed):
            list(lease.events(JOB))
        assert list(lease.events(JOB))
    assert [call.seconds for call in lending.calls] == [20, 15]
    assert [run.gpu_declared_s for run in logged] == [20, 15]
    assert [round(run.gpu_used_s) for run in logged] == [5, 2]


def test_at_least_what_the_next_job_needs_is_declared_again(lending):
    lending.answers = [(begun(12.0), to_wire(EngineFailed(detail="KeyError")), held()), (begun(), ANSWER, held())]
    with Lease(20) as lease:
        with pytest.raises(EngineFailed):
            list(lease.events(JOB))
        list(lease.events(JOB))
    assert [call.seconds for call in lending.calls] == [20, 16], "a start of 12 s, a load of 2"


@pytest.mark.parametrize(("seconds", "kind"), [(20, EngineLost), (1, GpuTimeUsed)])
def test_a_job_for_which_the_worker_did_not_wait_says_why(lending, monkeypatch, seconds, kind):
    monkeypatch.setattr(gpu, "CONNECT_S", 0.1)
    monkeypatch.setattr(gpu, "charged_s", lambda needed, most: seconds)
    lending.answers.append((begun(), ANSWER, held(LINE)))
    with Lease(seconds) as lease:
        assert list(lease.events(JOB))
        for _ in range(2):
            with pytest.raises(kind):
                list(lease.events(JOB))
    assert len(lending.calls) == 1, "no second call for one press"
