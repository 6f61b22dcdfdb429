"""What presses at columns make of what is shown, and what a browser keeps of it."""

import json
from dataclasses import replace

import pytest

from models.domain.errors import BadComparison
from models.domain.messages import Message, Usage
from models.domain.results.comparison import Compared, Comparison, TokenView
from ui.compare import blind
from ui.compare.actions import after
from ui.compare.kept import LONGEST, from_kept, to_kept
from ui.compare.results import results
from ui.compare.state import Need, Shown, again, changed, ended, failed_again, request_again, with_needs


def column(name, answer="Because."):
    turns = (Message("system", "Be brief."), Message("user", "Why?"), Message("assistant", answer))
    usage = Usage(name, new_tokens=3, finish="stop")
    return Compared(name, name, turns=turns, answer=answer, usage=usage, prompt="<Why?>")


WHOLE = Comparison(
    ("Why?",), tuple(map(column, ("m@bf16", "m@nf4", "m@gguf"))), "2026-01-02T03:04:05+00:00", "Be brief.",
    reference="m@bf16", text="A text.",
)  # fmt: skip
SHOWN = with_needs(ended(Shown(), WHOLE), [Need(1, True), Need(2, True), Need(3, False)])


def test_a_press_marks_the_answer_that_stands_there():
    shown = after(after(SHOWN, "right-1-0"), "wrong-2-0")
    assert [one.known.marks for one in shown.columns] == [(), ("right",), ("wrong",)]
    assert shown.comparison.columns[1].right == 1
    assert [one.need for one in shown.columns] == [one.need for one in SHOWN.columns]
    shuffled = after(replace(SHOWN, order=(2, 0, 1)), "right-0-0")
    assert [one.known.right for one in shuffled.columns] == [0, 0, 1]


def test_a_column_is_removed_and_comes_back():
    shown = after(replace(SHOWN, order=(2, 0, 1), voted=2), "remove-1")
    assert [one.known.variant for one in shown.columns] == ["m@nf4", "m@gguf"]
    assert (shown.order, shown.voted, shown.reference) == ((1, 0), 1, "")
    assert [one.need.bytes for one in shown.columns] == [2, 3]
    assert after(shown, "undo").comparison == WHOLE


@pytest.mark.parametrize(
    "press", ["", "right", "right-9-0", "right-0-7", "right-x-0", "remove--1", "remove-3", "undo", "x" * 99]
)
def test_a_forged_press_is_refused(press):
    with pytest.raises(BadComparison):
        after(SHOWN, press)


def test_nothing_is_removed_before_the_vote_and_the_last_column_stays():
    with pytest.raises(BadComparison):
        after(replace(SHOWN, order=(0, 1, 2)), "remove-0")
    shown = after(after(SHOWN, "remove-0"), "remove-0")
    with pytest.raises(BadComparison):
        after(shown, "remove-0")


def test_one_column_is_run_again_for_itself():
    request = request_again(SHOWN, 1)
    assert list(map(str, request.variants)) == ["m@nf4"]
    assert request.histories == (WHOLE.columns[1].turns[:-1],)
    assert (request.reference, request.text) == (None, "A text.")
    assert str(request_again(SHOWN, 0).reference) == "m@bf16"
    running = again(after(SHOWN, "right-1-0"), 1)
    assert running.running
    assert (running.columns[1].known.answer, running.columns[1].known.marks) == ("", ())
    assert failed_again(SHOWN, 1, "No.").columns[1].problem == "No."
    with pytest.raises(BadComparison):
        request_again(replace(SHOWN, order=(0, 1, 2)), 0)


# --- what a browser keeps -----------------------------------------------------------------------------------


def test_what_is_shown_comes_back():
    shown = after(after(replace(SHOWN, order=(2, 0, 1), voted=1), "right-0-0"), "raw")
    back = from_kept(to_kept(shown))
    assert (back.comparison, back.order, back.voted, back.view.raw) == (shown.comparison, (2, 0, 1), 1, True)
    assert not back.stopped
    assert from_kept(to_kept(Shown())) == Shown()


def test_what_was_running_comes_back_as_stopped():
    running = again(SHOWN, 1)
    back = from_kept(to_kept(running, WHOLE))
    assert (back.stopped, back.interrupted) == (True, True)
    assert back.comparison == WHOLE
    assert "was interrupted" in results(back, 0.05)


def test_a_blind_vote_stays_blind():
    back = from_kept(to_kept(replace(SHOWN, order=(2, 0, 1))))
    assert back.blind
    assert blind.read_vote(back, "best-A")[1].winner == "m@gguf"


def test_it_is_never_too_long():
    tokens = (TokenView("x" * 900, 0.5, (("y" * 900, 0.2),) * 5),) * 400
    long = replace(WHOLE, columns=(replace(WHOLE.columns[0], tokens=tokens), *WHOLE.columns[1:]))
    back = from_kept(to_kept(changed(SHOWN, long)))
    assert back.comparison == WHOLE
    longer = replace(WHOLE, columns=tuple(replace(one, prompt="p" * 800_000) for one in WHOLE.columns))
    with pytest.raises(BadComparison):
        to_json_of(longer)
    assert len(to_kept(changed(SHOWN, longer))) < LONGEST


def to_json_of(comparison):
    from models.domain.results.file import from_json, to_json

    return from_json(to_json(comparison))


@pytest.mark.parametrize(
    "text",
    [None, 7, "", "{", "[]", "null", "{}", '{"file": 1}', '{"file": "{}", "order": [], "voted": 0}', "[" * 99_999],
)
def test_what_a_browser_kept_may_be_anything(text):
    assert from_kept(text) == Shown()


@pytest.mark.parametrize(
    ("order", "voted"), [([0, 0, 1], 1), ([0, 1], 1), (["0"], 1), ([True, 0, 2], 1), ([0, 1, 2], 3), ([0, 1, 2], True)]
)
def test_an_order_or_a_vote_that_cannot_be_is_none(order, voted):
    kept = json.loads(to_kept(SHOWN)) | {"order": order, "voted": voted}
    back = from_kept(json.dumps(kept))
    assert back.order in ((), (0, 1, 2))
    assert back.voted in (None, 1)
    assert back.comparison == WHOLE
