"""Who may compute: one engine at a time, as many as it has slots, in the order of arrival."""

import threading
import time
from contextlib import ExitStack

import pytest

from models.compute import turnstile
from models.compute.turnstile import Turnstile


@pytest.fixture(autouse=True)
def quick_heartbeat(monkeypatch):
    monkeypatch.setattr(turnstile, "HEARTBEAT_S", 0.01)


def waits(turn):
    """Whether a place in the queue is still waiting; entering is a side effect of not waiting."""
    return next(turn, None) is not None


class Visits:
    """Places in one turnstile that are taken and given back by name."""

    def __init__(self):
        self.turnstile, self._left = Turnstile(), {}

    def arrive(self, name, engine, slots):
        self._left[name] = ExitStack()
        return self._left[name].enter_context(self.turnstile.ticket(engine, slots))

    def leave(self, name):
        self._left[name].close()


def test_an_engine_lets_in_as_many_as_it_has_slots():
    visits = Visits()
    one, two, three = (visits.arrive(name, "smol", 2) for name in "123")
    assert (waits(one), waits(two), waits(three)) == (False, False, True)
    visits.leave("1")
    assert not waits(three)


def test_another_engine_waits_until_the_first_is_idle():
    visits = Visits()
    first, second, other = (visits.arrive(*v) for v in (("1", "smol", 4), ("2", "smol", 4), ("3", "gemma", 4)))
    assert (waits(first), waits(second), waits(other)) == (False, False, True)
    visits.leave("1")
    assert waits(other)
    visits.leave("2")
    assert not waits(other)


def test_order_of_arrival_holds_even_where_a_later_one_would_fit():
    visits = Visits()
    first, other, late = (visits.arrive(*v) for v in (("1", "smol", 4), ("2", "gemma", 4), ("3", "smol", 4)))
    assert (waits(first), waits(other), waits(late)) == (False, True, True)
    visits.leave("1")
    assert waits(late), "the one before it has not entered yet"
    assert (waits(other), waits(late)) == (False, True)
    visits.leave("2")
    assert not waits(late)


def test_the_detail_says_how_many_are_ahead():
    visits = Visits()
    turns = [visits.arrive(str(n), "smol", 1) for n in range(3)]
    assert not waits(turns[0])
    assert [next(turn).detail for turn in turns[1:]] == ["1 ahead", "2 ahead"]
    assert next(turns[1]).stage == "waiting"


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_leaving_the_queue_lets_the_next_one_move_up(steps):
    visits = Visits()
    inside, impatient, patient = (visits.arrive(str(n), "smol", 1) for n in range(3))
    assert not waits(inside)
    for _ in range(steps):
        assert waits(impatient)
    visits.leave("1")
    assert next(patient).detail == "1 ahead"
    visits.leave("0")
    assert not waits(patient)


def test_an_exception_inside_gives_the_place_back():
    gate = Turnstile()

    def visit():
        with gate.ticket("smol", 1) as turn:
            assert not waits(turn)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        visit()
    with gate.ticket("gemma", 1) as turn:
        assert not waits(turn)


def test_threads_never_meet_another_engine_and_use_all_slots():
    gate, inside, lock, most, strangers = Turnstile(), [], threading.Lock(), {}, []

    def visit(engine):
        with gate.ticket(engine, 3) as turn:
            for _ in turn:
                pass
            with lock:
                inside.append(engine)
                most[engine] = max(most.get(engine, 0), inside.count(engine))
                strangers.extend(set(inside) - {engine})
            time.sleep(0.02)
            with lock:
                inside.remove(engine)

    threads = [threading.Thread(target=visit, args=(engine,)) for engine in ["smol"] * 8 + ["gemma"] * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not inside
    assert not strangers
    assert most == {"smol": 3, "gemma": 3}
