"""The three-part prompt of base models: what it writes, where it stops, what it refuses."""

import pytest

from models.domain.errors import SamplingOutOfBounds
from models.domain.messages import STOP_STRINGS_MAX, Message, Sampling
from models.domain.request import AS_TEXT, DEFAULT_INSTRUCTION, BasePrompt

TALK = (Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?"))


def test_writes_the_three_parts_up_to_where_the_answer_begins():
    assert BasePrompt().write(TALK) == f"{DEFAULT_INSTRUCTION}\n\nQ: One?\nA: 1\n\nQ: Two?\nA:"


def test_a_system_message_takes_the_place_of_the_instruction():
    assert BasePrompt().write((Message("system", "Be brief."), *TALK[:1])) == "Be brief.\n\nQ: One?\nA:"


def test_what_was_typed_and_answered_stays_as_it_is():
    talk = (Message("user", "\n\tOne?  \n"), Message("assistant", " 1\n"), Message("user", "Two? "))
    assert BasePrompt("").write(talk) == "Q: \n\tOne?  \n\nA: 1\n\n\nQ: Two? \nA:"
    assert BasePrompt("", "", "").write(talk[:1]) == "\n\tOne?  \n"


def test_parts_can_be_changed_or_left_empty():
    assert BasePrompt("", "Frage:", "Antwort:").write(TALK[:1]) == "Frage: One?\nAntwort:"
    assert AS_TEXT.write(TALK[:1]) == "One?"
    assert AS_TEXT.write(TALK) == "One?1\n\nTwo?"


@pytest.mark.parametrize(
    ("prompt", "given", "stop"),
    [
        (BasePrompt(), (), ("\nQ:",)),
        (BasePrompt(), ("x",), ("x", "\nQ:")),
        (BasePrompt(), ("\nQ:",), ("\nQ:",)),
        (BasePrompt(question="  "), ("x",), ("x",)),
        (BasePrompt(), ("x",) * STOP_STRINGS_MAX, ("x",) * STOP_STRINGS_MAX),
    ],
)
def test_ends_before_the_model_asks_the_next_question_itself(prompt, given, stop):
    assert prompt.ending(Sampling(stop=given)).stop == stop


@pytest.mark.parametrize("labels", [{"question": "x" * 33}, {"answer": "x" * 33}, {"question": None}])
def test_labels_are_bounded(labels):
    with pytest.raises(SamplingOutOfBounds, match="label"):
        BasePrompt(**labels)
