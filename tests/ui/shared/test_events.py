"""What a press of a drawn button says."""

import pytest

from ui.shared.events import pressed


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
