"""The controls of thinking follow what a chat template knows."""

import gradio as gr
import pytest

from models.domain.errors import SamplingOutOfBounds
from models.domain.thinking import Marks, TemplateThinking, Thinking
from ui.shared.thinking import read_thinking, shown_thinking, thinking_values

MARKS = Marks(("<think>",), "</think>", "</think>")
ON_OFF = TemplateThinking(MARKS, {"on": {"enable_thinking": True}, "off": {"enable_thinking": False}})


@pytest.mark.parametrize(
    ("known", "switch", "shown", "choices", "value"),
    [
        (None, "off", False, None, "auto"),
        (TemplateThinking(), "off", False, None, "auto"),
        (ON_OFF, "off", True, ["auto", "on", "off"], "off"),
        (ON_OFF, "high", True, ["auto", "on", "off"], "auto"),
        (TemplateThinking(MARKS), "on", True, None, "auto"),
    ],
)
def test_only_what_the_template_knows_can_be_chosen(known, switch, shown, choices, value):
    parts, radio = shown_thinking(known, switch)
    assert (parts.visible, radio.value) == (shown, value)
    if choices:
        assert radio.visible
        assert [name for _, name in radio.choices] == choices
    elif shown:
        assert not radio.visible, "it thinks, and cannot be told not to: its thought can be shortened"


def test_a_link_asks_for_no_more_than_this_server_allows():
    errors = []
    assert thinking_values(Thinking("on", 9000), 2048, errors) == {"switch": "on", "budget": 2048}
    assert isinstance(errors[0], SamplingOutOfBounds)
    assert thinking_values(Thinking("off"), 2048, errors)["budget"] == gr.skip()
    assert read_thinking({"switch": "off", "budget": 20}) == Thinking("off", 20)
