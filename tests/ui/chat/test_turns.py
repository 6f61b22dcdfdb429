"""A conversation keeps every version of every turn, and a browser's copy of it is trusted in nothing."""

import json
from dataclasses import replace

import pytest

from models.domain.errors import BadHistory
from models.domain.messages import Message
from ui.chat import turns
from ui.chat.turns import (
    ROOT,
    Thought,
    answered,
    asked,
    cleared,
    history,
    messages,
    new,
    read,
    switched,
    taken_back,
    undone,
    write,
)


def talk(*questions, after=None):
    """Questions that were answered one after another."""
    conversation = after or new()
    for question in questions:
        conversation = answered(asked(conversation, question, conversation.leaf), question.upper(), "1 token", "| |")
    return conversation


def shown(conversation):
    return [conversation.turns[at].question for at in conversation.path]


def edited(conversation, place, question):
    turn = conversation.path[place]
    return answered(asked(conversation, question, conversation.turns[turn].parent), question.upper(), "1 token")


def test_questions_follow_each_other():
    assert shown(talk("a", "b", "c")) == ["a", "b", "c"]
    assert history(asked(talk("a"), "b", 0)) == (Message("user", "a"), Message("assistant", "A"))
    assert [message["content"] for message in messages(talk("a"))] == ["a", "A", "| |"]


def test_a_thought_stands_above_its_answer_and_is_never_sent_again():
    thought = Thought("So.", "thought 0.5 s, 3 tokens")
    first = asked(new(), "a", ROOT)
    streaming, over = answered(first, "", thought=thought), answered(first, "A", "1 token", "| |", thought)
    assert [message["metadata"]["status"] for message in messages(streaming)[1:]] == ["pending"]
    shown = [(message["content"], message.get("metadata", {}).get("status")) for message in messages(over)]
    assert shown == [("a", None), ("So.", "done"), ("A", None), ("| |", "done")]
    assert history(over) == (Message("user", "a"), Message("assistant", "A"))
    assert read(json.loads(json.dumps(write(over)))) == over
    assert history(answered(first, "", "cut", "| |", thought)) == ()


@pytest.mark.parametrize("thought", [["So."], ["So.", 1], ["So.", "1 s", "x"]])
def test_a_forged_thought_is_refused(thought):
    with pytest.raises(BadHistory):
        read({"turns": [[ROOT, "a", "A", "", "", *thought]], "leaf": 0})


def test_an_edit_keeps_what_came_after():
    before = talk("a", "b", "c")
    after = edited(before, 1, "B?")
    assert shown(after) == ["a", "B?"]
    assert after.cut
    assert not after.took_back
    assert shown(undone(after)) == ["a", "b", "c"]
    assert not undone(after).cut
    assert after.versions(after.path[1]) == [1, 3]
    assert shown(switched(after, 3, -1)) == ["a", "b", "c"]
    assert shown(switched(switched(after, 3, -1), 1, 1)) == ["a", "B?"]
    assert shown(talk("d", after=after)) == ["a", "B?", "d"]
    assert not talk("d", after=after).cut, "it is said until something else is asked"


def test_a_retry_of_the_last_turn_leaves_out_nothing_but_its_version():
    again = edited(talk("a", "b"), 1, "b")
    assert not again.cut
    assert len(again.versions(again.leaf)) == 2


def test_the_newest_of_a_version_is_shown():
    both = talk("d", after=edited(talk("a", "b"), 0, "A?"))
    assert shown(both) == ["A?", "d"]
    first = switched(both, both.path[0], 1)
    assert shown(first) == ["a", "b"]
    assert shown(switched(first, 0, -1)) == ["A?", "d"]


def test_a_turn_taken_back_comes_back():
    back = taken_back(talk("a", "b"))
    assert shown(back) == ["a"]
    assert back.cut
    assert back.took_back
    assert shown(undone(back)) == ["a", "b"]
    assert shown(taken_back(taken_back(talk("a")))) == []


def test_what_is_cleared_comes_back():
    before = talk("a", "b")
    empty = cleared(before)
    assert shown(empty) == []
    assert empty.id != before.id
    assert undone(empty) == before
    assert undone(talk("c", after=empty)) == before
    assert cleared(new()).before is None


def test_what_was_under_way_is_marked_and_not_told_to_the_model():
    open_turn = asked(talk("a"), "b", 0)
    over = turns.settled(open_turn, "cut short", "why")
    assert [message["content"] for message in messages(over)] == ["a", "A", "| |", "b", "why"]
    assert [message.content for message in history(over)] == ["a", "A"]


def test_a_question_is_found_where_the_chatbot_shows_it():
    conversation = edited(talk("a", "b"), 1, "c")
    assert turns.turn_at(conversation, 3) == conversation.path[1]
    assert turns.turn_at(conversation, [0, 0]) == 0
    for index in (99, -1, None, "0"):
        with pytest.raises(BadHistory):
            turns.turn_at(conversation, index)


def test_a_browser_keeps_it_as_it_was():
    conversation = cleared(edited(talk("a <b>\n\t", "b"), 0, "c"))
    for kept in (conversation, undone(conversation)):
        assert read(json.loads(json.dumps(write(kept)))) == kept
    assert read(None).turns == ()


def test_a_copy_has_an_id_of_its_own():
    kept = write(talk("a"))
    assert read(kept | {"id": ""}).id not in ("", kept["id"])
    assert replace(read(kept | {"id": "../x"}), id=kept["id"]) == read(kept)


@pytest.mark.parametrize(
    "forged",
    [
        {"turns": "text"},
        {"turns": [[ROOT, "a", "b", "c"]], "leaf": 0},
        {"turns": [[ROOT, {"path": "/etc/passwd"}, "", "", ""]], "leaf": 0},
        {"turns": [[0, "a", "", "", ""]], "leaf": 0},
        {"turns": [[ROOT - 1, "a", "", "", ""]], "leaf": 0},
        {"turns": [[ROOT, "a", "", "", ""]], "leaf": 1},
        {"turns": [[ROOT, "a", "", "", ""]], "leaf": None},
        {"turns": [[ROOT, "a", "", "", ""]], "leaf": 0, "previous": 7},
        {"turns": [[ROOT, "a", "", "", ""]] * (turns.MOST_TURNS + 1), "leaf": 0},
    ],
)
def test_nothing_else_gets_through(forged):
    with pytest.raises(BadHistory):
        read(forged)


def test_a_conversation_ends_somewhere():
    full = replace(new(), turns=tuple(turns.Turn("a", parent=at - 1) for at in range(turns.MOST_TURNS)))
    with pytest.raises(BadHistory, match="more than"):
        asked(full, "b", ROOT)
