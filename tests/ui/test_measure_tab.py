"""What the Measure tab offers before anybody chooses."""

import pytest

from models.domain.memory.model_info import Offer
from ui.measure_tab import default_modes
from ui.shared.events import pressed


def plans(**fits):
    return {name.replace("_", "-"): Offer(1, 1, fit) for name, fit in fits.items()}


@pytest.mark.parametrize(
    ("here", "chosen"),
    [
        (plans(fp32=True, bf16=True, int8=True, nf4=True, fp4=True, gguf=True), ["bf16", "int8", "nf4", "gguf"]),
        (plans(bf16=False, int8=False, nf4=True), ["nf4"]),
        (plans(gptq=True), ["gptq"]),
        (plans(a=True, b=True, c=True, d=True, e=True), ["a", "b", "c", "d"]),
        (plans(bf16=False), []),
        ({}, []),
    ],
)
def test_default_modes_are_those_that_people_choose_between(here, chosen):
    assert default_modes(here) == chosen


class Event:
    def __init__(self, data):
        self._data = data


@pytest.mark.parametrize(
    ("data", "text"),
    [({"pressed": "m@nf4"}, "m@nf4"), ({}, ""), (None, ""), ("m", ""), ({"pressed": 7}, "7")],
)
def test_a_press_is_read_whatever_was_posted(data, text):
    assert pressed(Event(data)) == text


def test_a_long_press_is_cut():
    assert len(pressed(Event({"pressed": "x" * 10_000}))) < 1000
