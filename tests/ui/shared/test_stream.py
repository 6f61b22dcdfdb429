"""Events of an answer, one by one, and what is shown after each."""

from dataclasses import replace
from functools import reduce

import pytest

from models.domain.errors import EngineLost
from models.domain.messages import Delta, Progress, Rendered, Thought, Usage
from ui.shared.stream import Answer, advance, failed, note, status

DONE = Usage("m@gguf", "llama.cpp", prompt_tokens=5, new_tokens=2, context=64, finish="stop")


def after(*events):
    return reduce(advance, events, Answer())


def test_text_adds_up_and_the_last_usage_counts():
    answer = after(Rendered("<p>"), Delta("Hel", Usage(new_tokens=1)), Delta("lo", DONE))
    assert (answer.text, answer.usage, answer.prompt, answer.progress, answer.done) == (
        "Hello",
        DONE,
        "<p>",
        None,
        True,
    )


def test_a_thought_is_no_part_of_the_text():
    thinking = Usage(new_tokens=3, thought_tokens=3, thinking="open")
    answer = after(Rendered("p"), Thought("So", "<think>So", thinking), Thought(".", ".", thinking))
    assert (answer.text, answer.thought, answer.progress, answer.unanswered) == ("", "So.", None, False)
    cut = advance(answer, Delta("", replace(thinking, finish="cancelled")))
    assert not cut.unanswered, "what was thought stays, and how it ended is said"
    assert "ended inside its thought" in note(cut)[0]
    title, _ = note(after(Thought("So", "<think>So", thinking), EngineLost()))
    assert title == "stopped by an error after 3 tokens"


def test_progress_stands_until_the_first_token():
    load, reading = Progress("read", 1, 2), Progress("prefill")
    assert after(load).progress == load
    assert after(load, Rendered("p")).progress == reading
    assert after(load, Rendered("p"), Delta("")).progress == reading, "a heartbeat is not a token"
    assert after(load, Rendered("p"), Delta("", Usage(new_tokens=1))).progress is None


def test_done_only_at_the_end():
    assert not Answer().done
    assert not after(Delta("a", Usage(new_tokens=1))).done
    assert after(Delta("", DONE)).done
    assert after(EngineLost()).done


def test_steps_leave_the_earlier_answer_as_it_was():
    before = after(Delta("a"))
    advance(before, Delta("b"))
    assert before.text == "a"


def test_status_line():
    for events, words in (
        ((), ""),
        ((Progress("read", 1, 2, detail="m.gguf"),), "Reading the weights m.gguf"),
        ((Progress("waiting", detail="2 ahead"),), "2 ahead"),
        ((Rendered("p"),), "Reading the prompt"),
        ((Delta("a", DONE),), "context 7 of 64 tokens"),
        ((Progress("read"), EngineLost()), "ended without an error message"),
    ):
        assert words in status(after(*events))
    assert status(after()) == ""


def test_a_note_says_how_an_answer_ended():
    assert note(after(Delta("Hi", Usage(new_tokens=1)))) == ("", "")
    title, details = note(after(Delta("Hi", DONE)))
    assert title.startswith("2 tokens")
    assert "llama.cpp" in details
    title, details = note(after(Delta("Hi", Usage(new_tokens=1)), EngineLost()))
    assert title == "stopped by an error after 1 tokens"
    assert "Send again" in details


@pytest.mark.parametrize(
    ("finish", "words"),
    [("cancelled", "Stopped before the first"), ("time_limit", "The time limit was reached before")],
)
def test_an_end_before_any_text_gives_the_question_back(finish, words):
    ended = after(Rendered("p"), Delta("", Usage(finish=finish)))
    assert ended.unanswered
    assert words in status(ended)
    assert not after(Delta("Hi", Usage(new_tokens=1, finish=finish))).unanswered
    assert not after(Delta("", Usage(finish="stop"))).unanswered, "a model may say nothing"


def test_what_nobody_foresaw_ends_an_answer_with_its_kind_alone(caplog):
    ended = failed(after(Rendered("p")), OSError("/home/operator/jobs: AF_UNIX path too long"))
    assert ended.unanswered
    assert ended.error.facts == {"detail": "OSError"}
    assert "AF_UNIX path too long" in caplog.text
    known = EngineLost()
    assert failed(Answer(), known).error is known
