"""A posted conversation comes back as texts and notes, whatever was put into it."""

import pytest

from models.domain.errors import BadHistory
from models.domain.messages import read_history
from ui.shared.conversation import as_text, before, drawn, note, restored

TALK = [
    {"role": "user", "content": [{"type": "text", "text": "Hi"}], "metadata": None, "options": None},
    {"role": "assistant", "content": "Hello"},
    note("12 tokens", "| a | b |"),
    {"role": "user", "content": "More"},
    {"role": "assistant", "content": "Yes"},
]


def test_texts_and_notes_stay():
    assert as_text(TALK) == [{"role": "user", "content": "Hi"}, *TALK[1:]]
    assert [m.content for m in read_history(as_text(TALK))] == ["Hi", "Hello", "More", "Yes"]


ODD = "\n\n\tdef f(x):\n  <b>&lt;</b> $x$ \ufffd </s>\r\n  "


def test_texts_come_back_as_they_were_written():
    talk = [{"role": "user", "content": ODD}, {"role": "assistant", "content": ODD}, note("1 token", "<b>")]
    shown = drawn(talk)
    assert all(isinstance(message["content"], list) for message in shown), "Gradio cleans what is a plain string"
    assert as_text(shown) == talk
    assert restored(shown) == shown, "as a browser keeps it"
    assert restored(talk) == shown, "as it was kept before"
    assert before(shown, 0)[1] == ODD


def test_cut_before_a_message():
    assert before(TALK, 3) == (as_text(TALK)[:3], "More")
    assert before(TALK, (0, 0)) == ([], "Hi")


@pytest.mark.parametrize("index", [5, -1, 99])
def test_no_such_message(index):
    with pytest.raises(BadHistory, match="no message"):
        before(TALK, index)


@pytest.mark.parametrize(
    "forged",
    [
        "text",
        [1],
        [{"role": "user", "content": {"path": "/etc/passwd"}}],
        [{"role": "assistant", "content": [{"type": "file", "file": {"path": "/etc/passwd"}}]}],
        [{"role": "assistant", "content": {"path": "/etc/passwd"}, "metadata": {"title": "12 tokens"}}],
        [{"role": "assistant", "content": [{"component": "html", "value": "<script>"}]}],
    ],
)
def test_nothing_else_gets_through(forged):
    with pytest.raises(BadHistory):
        as_text(forged)
    assert restored(forged) == []
