"""Switches of versions and the line with Undo."""

import pytest

from ui.chat.notice import pressed_switch, render_notice
from ui.chat.turns import answered, asked, cleared, new, taken_back


def twice():
    """A question with an answer after it, that was asked in two ways."""
    first = answered(asked(new(), "a", -1), "A", "1 token")
    after = answered(asked(first, "b", 0), "B", "1 token")
    return answered(asked(after, "c <", -1), "C", "1 token")


def test_a_question_with_versions_has_a_switch():
    drawn = render_notice(twice())
    assert 'data-row="0"' in drawn
    assert "2/2" in drawn
    assert 'data-press="2:-1"' in drawn
    assert 'data-row="1"' not in drawn
    assert "versions" not in render_notice(answered(asked(new(), "a", -1), "A"))


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (twice(), "stays with the earlier version"),
        (taken_back(twice()), "taken back"),
        (cleared(twice()), "was cleared"),
    ],
)
def test_what_was_left_out_is_said_with_a_button(conversation, words):
    drawn = render_notice(conversation)
    assert words in drawn
    assert 'data-press="undo"' in drawn
    assert 'data-press="undo"' not in render_notice(new())


def test_a_press_is_a_turn_and_a_step():
    assert pressed_switch("12:-1") == (12, -1)
    assert pressed_switch("0:1") == (0, 1)
    for other in ("undo", "", "1:2", "-1:1", "a:1", "1:1:1"):
        assert pressed_switch(other) is None
