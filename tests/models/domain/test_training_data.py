"""Rows to learn from: what is taken, and each way in which a line is refused, with its number."""

import json

import pytest

from models.domain.errors import BadTrainingData, BadTrainingRow
from models.domain.messages import Message
from models.domain.training_data import FILE_MAX, read_rows

GOOD = {"prompt": "a", "completion": "b"}


def file(*rows) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)


def test_both_forms_become_conversations():
    chat = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                         {"role": "assistant", "content": " é "}]}  # fmt: skip
    assert read_rows(b"\xef\xbb\xbf" + file(chat, b"", GOOD | {"id": 3}, b" "), "f") == (
        (Message("system", "s"), Message("user", "q"), Message("assistant", " é ")),
        (Message("user", "a"), Message("assistant", "b")),
    )


def test_a_row_may_end_with_a_question():
    turns = [("user", "1"), ("assistant", "2"), ("user", "3")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    assert [len(messages) for messages in read_rows(file(row, GOOD), "f")] == [3, 2]


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not UTF-8"),
        ([1], "not a JSON object"),
        ({}, "neither “messages” nor"),
        ({"prompt": "a"}, "neither “messages” nor"),
        (GOOD | {"messages": []}, "both “messages” and “prompt”"),
        ({"prompt": 1, "completion": "b"}, "“prompt” is not text"),
        ({"prompt": "a", "completion": None}, "“completion” is not text"),
        ({"prompt": "a", "completion": " \n"}, "“completion” is empty"),
        ({"prompt": "a", "completion": "\ud83d"}, "half of a surrogate pair"),
        ({"messages": []}, "not a list of messages"),
        ({"messages": ["hello"]}, "message 1 is not an object"),
        (chat(("tool", "x")), "role “tool”"),
        (chat((["user"], "x")), "role “['user']”"),
        (chat(("user", "x")), "there is no answer to learn"),
        (chat(("user", "x"), ("assistant", "")), "content of message 2 is empty"),
        (chat(("user", "x"), ("assistant", [])), "content of message 2 is not text"),
        (chat(("assistant", "x")), "starts with an answer"),
        (chat(("user", "x"), ("system", "y"), ("assistant", "z")), "not at the beginning"),
        (chat(("user", "x"), ("user", "y"), ("assistant", "z")), "two user messages follow each other"),
    ],
)
def test_a_bad_row_is_refused_by_its_line(row, reason):
    with pytest.raises(BadTrainingRow) as refused:
        read_rows(file(GOOD, b"", row), "rows.jsonl")
    assert refused.value.message.startswith("Line 3 of rows.jsonl cannot be used for training: ")
    assert reason in refused.value.message
    assert refused.value.message.count(". ") == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "it is empty"), (b"\n \n", "it is empty"), (file(GOOD), "one row"), (b" " * (FILE_MAX + 1), "larger than")],
)
def test_a_file_that_is_nothing_to_learn_from(data, reason):
    with pytest.raises(BadTrainingData, match=reason):
        read_rows(data, "f")
