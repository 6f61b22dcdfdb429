"""Loaded models: shared while leased, ejected when room is needed, forgotten when a load fails."""

import threading
import time
from contextlib import ExitStack

import pytest

from models import pool as pool_module
from models.pool import Pool
from models.spec.errors import OutOfMemory
from models.spec.messages import Progress


@pytest.fixture(autouse=True)
def quick_heartbeat(monkeypatch):
    monkeypatch.setattr(pool_module, "HEARTBEAT_S", 0.02)


class FakeEngine:
    name = "fake"

    def __init__(self, key, size):
        self.key, self.bytes, self.closed = key, size, False

    def close(self):
        assert not self.closed
        self.closed = True


class Loads:
    """A `load` that can be held at a gate or told to fail, and remembers what it made."""

    def __init__(self, size=10):
        self.size, self.made, self.started = size, [], []
        self.gate, self.failure = threading.Event(), None
        self.gate.set()

    def __call__(self, key, on_progress):
        self.started.append(key)
        on_progress(Progress("load", 1, 2, detail=key))
        assert self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        self.made.append(FakeEngine(key, self.size))
        return self.made[-1]


def use(pool, key, estimate=10):
    """Lease, wait and give back; the engine that was used."""
    with pool.lease(key, estimate) as lease:
        list(lease.waiting())
        return lease.engine


def names(pool):
    return [line.name for line in pool.held()]


def test_a_model_is_loaded_once_and_shared():
    loads = Loads()
    pool = Pool(loads, 100)
    with pool.lease("a", 10) as one, pool.lease("a", 10) as two:
        list(one.waiting())
        list(two.waiting())
        assert one.engine is two.engine
        assert [(line.name, line.engine, line.bytes, line.users) for line in pool.held()] == [("a", "fake", 10, 2)]
    assert use(pool, "a") is loads.made[0]
    assert (loads.started, pool.held()[0].users) == (["a"], 0)


def test_progress_reaches_everybody_who_waits():
    loads = Loads()
    loads.gate.clear()
    pool = Pool(loads, 100)
    with pool.lease("a", 10) as one, pool.lease("a", 10) as two:
        for waiting in (one.waiting(), two.waiting()):
            assert next(step for step in waiting if step.total).detail == "a"
        assert (pool.held(), loads.started) == ([], ["a"])
        loads.gate.set()
        list(one.waiting())
        list(two.waiting())


def test_engine_is_not_to_be_had_before_the_load_is_over():
    loads = Loads()
    loads.gate.clear()
    with Pool(loads, 100).lease("a", 10) as lease:
        with pytest.raises(AssertionError):
            _ = lease.engine
        loads.gate.set()


def test_the_least_recently_used_makes_room():
    loads = Loads()
    pool = Pool(loads, 30)
    for key in ("a", "b", "c", "a", "d"):  # d needs the room of b, which was used longest ago
        use(pool, key)
        time.sleep(0.002)
    assert names(pool) == ["d", "a", "c"]
    assert [engine.key for engine in loads.made if engine.closed] == ["b"]


@pytest.mark.parametrize(("estimate", "left"), [(10, ["d", "c", "b"]), (20, ["d", "c"]), (30, ["d"]), (999, ["d"])])
def test_as_many_leave_as_the_estimate_needs(estimate, left):
    pool = Pool(Loads(), 30)
    for key in ("a", "b", "c"):
        use(pool, key)
        time.sleep(0.002)
    use(pool, "d", estimate)
    assert names(pool) == left


def test_a_model_in_use_is_never_ejected():
    pool = Pool(Loads(), 15)
    with pool.lease("a", 10) as lease:
        list(lease.waiting())
        use(pool, "b")
        assert not pool.eject("a")
        assert not lease.engine.closed
        assert set(names(pool)) == {"a", "b"}, "over the limit rather than taken from somebody"
        use(pool, "c")
        assert set(names(pool)) == {"a", "c"}


@pytest.mark.parametrize("failure", [OutOfMemory(during="loading"), MemoryError(), SystemExit(3)])
def test_a_failed_load_reaches_all_who_wait_and_the_next_try_works(failure):
    loads = Loads()
    loads.failure = failure
    loads.gate.clear()
    pool = Pool(loads, 100)
    with ExitStack() as stack:
        leases = [stack.enter_context(pool.lease("a", 10)) for _ in range(3)]
        loads.gate.set()
        for lease in leases:
            with pytest.raises(type(failure)) as raised:
                list(lease.waiting())
            assert raised.value is failure
        assert pool.held() == []
        loads.failure = None
        assert use(pool, "a") is loads.made[0], "while the others still hold their failed leases"
    assert (names(pool), pool.held()[0].users) == (["a"], 0)


def test_eject():
    pool = Pool(Loads(), 100)
    engine = use(pool, "a")
    assert not pool.eject("b")
    assert pool.eject("a")
    assert engine.closed
    assert pool.held() == []
    assert not pool.eject("a")
    assert use(pool, "a") is not engine


def test_a_model_that_loads_is_not_ejected_and_stays_when_its_visitor_leaves():
    loads = Loads()
    loads.gate.clear()
    pool = Pool(loads, 100)
    with pool.lease("a", 10) as lease:
        next(lease.waiting())
    assert not pool.eject("a")
    loads.gate.set()
    use(pool, "a")
    assert loads.started == ["a"]


def test_an_exception_inside_a_lease_gives_it_back():
    pool = Pool(Loads(), 100)

    def visit():
        with pool.lease("a", 10) as lease:
            list(lease.waiting())
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        visit()
    assert pool.eject("a")
