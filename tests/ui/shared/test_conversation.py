"""Messages for the Chatbot come back as they were written."""

import pytest

from models.domain.messages import read_history
from ui.shared import exact
from ui.shared.conversation import drawn, note

ODD = "\n\n\tdef f(x):\n  <b>&lt;</b> $x$ \ufffd </s>\r\n  "
TALK = [{"role": "user", "content": ODD}, {"role": "assistant", "content": ODD}, note("1 token", "| <b> |")]


def text(message):
    return message["content"][0]["text"]


@pytest.mark.parametrize("raw", [False, True])
def test_texts_come_back_as_they_were_written(raw):
    shown = drawn(TALK, raw)
    assert all(isinstance(message["content"], list) for message in shown), "Gradio cleans what is a plain string"
    assert [exact.read(text(message)) for message in shown] == [message["content"] for message in TALK]
    assert [message.content for message in read_history(TALK)] == [ODD, ODD], "a note is none"


def test_an_answer_is_markdown_or_as_it_was_written():
    question, answer, figures = drawn(TALK, True)
    assert text(question) == text(answer) == exact.verbatim(ODD)
    assert text(figures) == exact.formatted("| <b> |")
    assert text(drawn(TALK, False)[1]) == exact.formatted(ODD)
