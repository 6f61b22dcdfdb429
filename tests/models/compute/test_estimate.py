"""Seconds of a GPU that a press is declared with: measured here, each load once, a batch once, never over the limit."""

from dataclasses import replace

import pytest

from models.compute.estimate import MARGIN_S, START_S, Speeds, Work
from models.compute.job import Answering
from models.domain.load import Load, Local, Room, Snapshot
from models.domain.messages import Delta, Sampling, Usage
from models.domain.settings import Settings

GB = 10**9
WORK = Work("m@bf16", 2 * GB, tokens=500, characters=400)


def answered(speeds, variant="m@bf16", size=2 * GB, tokens=100, load_s=0.0, rows=1, speed=50.0):
    load = Load(variant, Local(Snapshot(variant, "safetensors", "hub", size), "bf16", 64, 1, Room(0)), Settings())
    usage = Usage(new_tokens=tokens, decode_tokens_per_s=speed, load_s=load_s, finish="length")
    speeds.note(Answering(load, Sampling(), prompt="x", rows=((),) * rows), Delta("", usage))


@pytest.fixture
def speeds():
    measured = Speeds()
    answered(measured, load_s=4.0)
    return measured


def test_it_is_the_start_the_load_and_every_token_at_the_measured_speed(speeds):
    bare = replace(WORK, characters=0)
    assert speeds.needed_s([bare], ()) == pytest.approx(MARGIN_S + START_S + 4.0 + 500 / 50)
    speeds.note_start(2.0)
    speeds.note_start(0.0)  # of a worker that was there
    assert speeds.needed_s([bare], ()) == pytest.approx(MARGIN_S + 2.0 + 4.0 + 500 / 50)


def test_a_warm_model_is_charged_no_load_and_one_that_comes_twice_one(speeds):
    cold, warm = speeds.needed_s([WORK], ()), speeds.needed_s([WORK], ("m@bf16",))
    assert cold - warm == pytest.approx(4.0)
    assert speeds.needed_s([WORK, WORK], ()) < 2 * cold - 4.0


def test_a_batch_of_four_is_charged_less_than_two_answers(speeds):
    one, four = speeds.needed_s([WORK], ()), speeds.needed_s([replace(WORK, rows=4)], ())
    assert one < four < 2 * one
    answered(speeds, rows=4, speed=48.0)
    assert speeds.needed_s([replace(WORK, rows=4)], ()) < four


def test_the_slowest_of_the_last_answers_counts_and_short_ones_say_nothing(speeds):
    before = speeds.needed_s([WORK], ())
    answered(speeds, tokens=2, speed=1.0)
    assert speeds.needed_s([WORK], ()) == before
    answered(speeds, speed=25.0)
    assert speeds.needed_s([WORK], ()) == pytest.approx(before + 10)


def test_a_model_that_nobody_used_is_as_fast_as_its_size_says_beside_one_that_was(speeds):
    larger, smaller = Work("l@bf16", 8 * GB, 500), Work("s@bf16", GB, 500)
    load_of_larger, load_of_smaller = 4.0 + 12.0, 4.0  # at the 0.5 GB a second that the other was read with
    assert speeds.needed_s([larger], ()) == pytest.approx(MARGIN_S + START_S + load_of_larger + 500 / 12.5)
    assert speeds.needed_s([smaller], ()) == pytest.approx(MARGIN_S + START_S + load_of_smaller + 500 / 50)


@pytest.mark.parametrize(
    ("measured", "size", "seconds"),
    [
        ([], 16 * GB, 16.0),
        ([(4.0, GB // 4)], 16 * GB, 4.0 + 15.75),  # and not 256: a small model's pace says nothing
        ([(4.0, GB // 4), (30.0, 15 * GB)], 16 * GB, 32.0),
        ([(30.0, 15 * GB)], GB, 2.0 + 2.0),
        ([(4.0, GB // 4)], GB // 8, 4.0),
        ([(4.0, 0)], GB, 5.0),
        ([(4.0, 0)], 0, 2.0),
    ],
)
def test_a_load_that_was_not_measured_is_told_from_those_that_were(measured, size, seconds):
    speeds = Speeds()
    for number, (load_s, loaded) in enumerate(measured):
        answered(speeds, f"{number}@bf16", loaded, load_s=load_s)
    unknown = Work("l@bf16", size)
    took = speeds.needed_s([unknown], ()) - speeds.needed_s([unknown], ("l@bf16",))
    assert took == pytest.approx(seconds)


def test_no_more_is_declared_than_the_limit_and_always_whole_seconds(speeds):
    assert speeds.seconds([replace(WORK, tokens=10**6)], 120) == 120
    assert speeds.seconds([Work("m@bf16", 0)], 120, ("m@bf16",)) == 5
