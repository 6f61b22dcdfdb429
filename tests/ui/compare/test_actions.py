"""What presses at columns make of what is shown, and what a browser keeps of it."""

import json
from dataclasses import replace

import pytest

from models.domain.errors import BadComparison
from models.domain.messages import Delta, Message, Progress, Usage
from models.domain.request import CompareRequest
from models.domain.results.comparison import Asked, Compared, Comparison, TokenView
from models.domain.results.measured import Measured
from models.domain.variant import Variant
from ui.compare import blind
from ui.compare.actions import after, best
from ui.compare.columns import columns
from ui.compare.kept import LONGEST, from_kept, run_of, to_kept
from ui.compare.results import results
from ui.compare.state import (
    Need,
    Shown,
    advance,
    again,
    begin,
    changed,
    ended,
    ended_run,
    failed_again,
    request_again,
    with_needs,
)


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


def test_a_whole_answer_is_marked_and_kept_while_the_others_run():
    asked = (Message("user", "Why?"),)
    request = CompareRequest((Variant.parse("m@bf16"), Variant.parse("m@nf4")), (asked, asked))
    shown = advance(begin(request), 0, Delta("Because.", Usage("m@bf16", new_tokens=3)))
    with pytest.raises(BadComparison):
        after(shown, "right-0-0")  # it is not whole
    shown = after(advance(shown, 0, column("m@bf16")), "right-0-0")
    assert 'aria-pressed="true">Right' in columns(shown)
    shown = advance(advance(shown, 0, Progress("score")), 0, column("m@bf16"))
    assert [one.known.marks for one in after(shown, "raw").columns] == [("right",), ()]
    with pytest.raises(BadComparison):
        after(shown, "remove-0")
    over = ended_run(shown, replace(WHOLE, columns=WHOLE.columns[:2]))
    assert [one.marks for one in over.comparison.columns] == [("right",), ()]
    hidden = replace(shown, order=(1, 0))
    with pytest.raises(BadComparison):
        after(hidden, "right-1-0")  # who is done first would tell which one it is


def test_the_id_of_a_run_is_kept_with_what_there_is_of_it():
    kept = to_kept(replace(SHOWN, comparison=None), WHOLE, "secret")
    assert (run_of(kept), from_kept(kept).interrupted) == ("secret", True)
    assert [run_of(text) for text in (to_kept(SHOWN), "", None, "[]", '{"run": 1}', "x" * (LONGEST + 1))] == [""] * 6


def test_each_of_several_prompts_has_its_difference_and_its_tokens():
    turns = (Message("user", "One?"), Message("assistant", "A b c."), Message("user", "Two?"))
    token = TokenView("A", 0.5)
    other = replace(
        column("m@nf4", "Same."), turns=(*turns, Message("assistant", "Same.")), tokens=(token,),
        earlier=(Asked("<One?>", (token, token)),),
    )  # fmt: skip
    first = replace(column("m@bf16", "Same."), turns=(turns[0], Message("assistant", "A b d."), *other.turns[2:]))
    shown = ended(Shown(), replace(WHOLE, questions=("One?", "Two?"), columns=(first, other), independent=True))
    html = columns(shown)
    assert html.count("<mark title=") == 1
    assert ">c.</mark>" in html
    assert "Token by token · prompt 1" in html
    assert html.count('tabindex="0" title="50.0% likely"') == 3
    assert request_again(replace(shown, order=()), 1).rivals == 0


def test_the_best_is_what_is_suggested_and_asked_as_it_was() -> None:
    assert best(ended(Shown(), WHOLE), 0.05) is None, "nothing is measured or marked"
    assert best(Shown(), 0.05) is None
    sizes = {"m@bf16": 300, "m@nf4": 100, "m@gguf": 200}
    sized = [replace(one, figures=Measured(one.variant, measured_bytes=sizes[one.variant])) for one in WHOLE.columns]
    marked = replace(WHOLE, columns=tuple(replace(one, marks=("right",)) for one in sized[::2]))
    found = best(ended(Shown(), marked), 0.05)
    assert found is not None
    assert (str(found.variant), found.system, found.prompt) == ("m@gguf", "Be brief.", "Why?")
