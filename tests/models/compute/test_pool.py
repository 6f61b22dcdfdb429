"""Loaded models: shared while leased, ejected when room is needed, forgotten when a load fails."""

import threading
import time
from contextlib import ExitStack

import pytest

from models.compute import pool as pool_module
from models.compute.pool import Pool, Room
from models.domain.errors import DoesNotFit, NotHeld, OutOfMemory
from models.domain.messages import Progress


@pytest.fixture(autouse=True)
def quick_heartbeat(monkeypatch):
    monkeypatch.setattr(pool_module, "HEARTBEAT_S", 0.02)


class FakeEngine:
    name = "fake"
    attached = ()

    def __init__(self, key, size):
        self.key, self.bytes, self.resident, self.closed = key, size, size, False

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
        on_progress(Progress("read", 1, 2, detail=key))
        assert self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        self.made.append(FakeEngine(key, self.size))
        return self.made[-1]


TEN = Room(10, 8)


def pool_of(loads, limit, free=lambda: 1000):
    return Pool(loads, limit, free)


def use(pool, key, total=10):
    """Lease, wait and give back; the engine that was used."""
    with pool.lease(key, Room(total)) as waiting:
        return loaded(waiting)


def loaded(waiting):
    """The engine of a lease, after all of its progress."""
    while True:
        try:
            next(waiting)
        except StopIteration as end:
            return end.value


def names(pool):
    return [line.name for line in pool.held() if line.engine]


def test_a_model_is_loaded_once_and_shared():
    loads = Loads()
    pool = pool_of(loads, 100)
    with pool.lease("a", TEN) as one, pool.lease("a", TEN) as two:
        assert loaded(one) is loaded(two)
        assert [(line.name, line.engine, line.bytes, line.users) for line in pool.held()] == [("a", "fake", 10, 2)]
    assert use(pool, "a") is loads.made[0]
    assert (loads.started, pool.held()[0].users) == (["a"], 0)


def test_progress_reaches_everybody_who_waits():
    loads = Loads()
    loads.gate.clear()
    pool = pool_of(loads, 100)
    with pool.lease("a", TEN) as one, pool.lease("a", TEN) as two:
        for waiting in (one, two):
            assert next(step for step in waiting if step.total).detail == "a"
        assert [(line.name, line.engine, line.users) for line in pool.held()] == [("a", "", 2)], "on its way"
        assert loads.started == ["a"]
        loads.gate.set()
        assert loaded(one) is loaded(two)


def test_the_least_recently_used_makes_room():
    loads = Loads()
    pool = pool_of(loads, 30)
    for key in ("a", "b", "c", "a", "d"):  # d needs the room of b, which was used longest ago
        use(pool, key)
        time.sleep(0.002)
    assert names(pool) == ["d", "a", "c"]
    assert [engine.key for engine in loads.made if engine.closed] == ["b"]


@pytest.mark.parametrize(("total", "left"), [(10, ["d", "c", "b"]), (20, ["d", "c"]), (30, ["d"])])
def test_as_many_leave_as_the_plan_needs(total, left):
    pool = pool_of(Loads(), 30)
    for key in ("a", "b", "c"):
        use(pool, key)
        time.sleep(0.002)
    use(pool, "d", total)
    assert names(pool) == left


def test_what_can_never_fit_is_refused_and_the_next_is_loaded():
    pool = pool_of(Loads(), 30)
    with pytest.raises(DoesNotFit, match="a needs about 31 B of memory, and 30 B is available"):
        use(pool, "a", 31)
    assert pool.held() == []
    assert use(pool, "a", 30)


def test_memory_that_vanished_after_the_plan_is_looked_at_before_the_load():
    free = [25]
    pool = pool_of(Loads(), 100, lambda: free[0])
    use(pool, "a", 20)
    free[0] = 5
    with pytest.raises(DoesNotFit, match="b needs about 20 B of memory, and 5 B is available"):
        use(pool, "b", 20)
    assert pool.held() == [], "the idle one made room before that"
    free[0] = 25
    assert use(pool, "b", 20)


def test_a_model_in_use_is_never_ejected_and_who_needs_its_room_waits():
    loads = Loads()
    pool = pool_of(loads, 15)
    with pool.lease("a", TEN) as first:
        engine = loaded(first)
        with pytest.raises(NotHeld, match="a cannot be ejected: somebody uses it now"):
            pool.eject("a")
        with pool.lease("b", TEN) as other:
            assert next(step for step in other if step.stage == "waiting").detail
            assert not engine.closed
    assert use(pool, "b")
    assert (names(pool), loads.started, engine.closed) == (["b"], ["a", "b"], True)


def test_a_load_that_nobody_waits_for_any_more_does_not_begin():
    loads = Loads()
    pool = pool_of(loads, 15)
    with pool.lease("a", TEN) as lease:
        loaded(lease)
        with pool.lease("b", TEN) as other:
            next(step for step in other if step.stage == "waiting")
        deadline = time.monotonic() + 5
        while len(pool.held()) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [line.name for line in pool.held()] == ["a"]
    assert loads.started == ["a"]


def test_who_waits_too_long_is_told(monkeypatch):
    monkeypatch.setattr(pool_module, "PATIENCE_S", 0.05)
    pool = pool_of(Loads(), 15)
    with pool.lease("a", TEN) as lease:
        loaded(lease)
        with pytest.raises(DoesNotFit, match="b needs about 10 B"):
            use(pool, "b")


@pytest.mark.parametrize("failure", [OutOfMemory(during="loading"), MemoryError(), SystemExit(3)])
def test_a_failed_load_reaches_all_who_wait_and_the_next_try_works(failure):
    loads = Loads()
    loads.failure = failure
    loads.gate.clear()
    pool = pool_of(loads, 100)
    with ExitStack() as stack:
        leases = [stack.enter_context(pool.lease("a", TEN)) for _ in range(3)]
        loads.gate.set()
        for lease in leases:
            with pytest.raises(type(failure)) as raised:
                loaded(lease)
            assert raised.value is failure
        assert pool.held() == []
        loads.failure = None
        assert use(pool, "a") is loads.made[0], "while the others still hold their failed leases"
    assert (names(pool), pool.held()[0].users) == (["a"], 0)


def test_eject():
    pool = pool_of(Loads(), 100)
    engine = use(pool, "a")
    with pytest.raises(NotHeld, match="b cannot be ejected: it is not in memory"):
        pool.eject("b")
    pool.eject("a")
    assert engine.closed
    assert pool.held() == []
    with pytest.raises(NotHeld):
        pool.eject("a")
    assert use(pool, "a") is not engine


def test_what_is_unwanted_is_dropped_unless_it_is_in_use():
    pool = pool_of(Loads(), 100)
    used, idle, wanted = (use(pool, key) for key in "abc")
    with pool.lease("a", TEN):
        pool.drop(lambda key: key in "ab")
    assert (used.closed, idle.closed, wanted.closed) == (False, True, False)
    assert sorted(names(pool)) == ["a", "c"]


def test_a_model_that_loads_is_not_ejected_and_stays_when_its_visitor_leaves():
    loads = Loads()
    loads.gate.clear()
    pool = pool_of(loads, 100)
    with pool.lease("a", TEN) as lease:
        next(lease)
        with pytest.raises(NotHeld, match="somebody uses it"):
            pool.eject("a")
    with pytest.raises(NotHeld, match="it is being loaded"):
        pool.eject("a")
    loads.gate.set()
    use(pool, "a")
    assert loads.started == ["a"]


def test_what_is_held_stands_beside_what_was_planned():
    pool = pool_of(Loads(size=9), 100)
    with pool.lease("a", TEN) as lease:
        loaded(lease)
    (line,) = pool.held()
    assert (line.bytes, line.predicted_bytes, line.users) == (9, 8, 0)
    assert 0 < line.load_s < 5


def test_an_exception_inside_a_lease_gives_it_back():
    pool = pool_of(Loads(), 100)

    def visit():
        with pool.lease("a", TEN) as lease:
            loaded(lease)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        visit()
    pool.eject("a")
