"""Rows to learn from: what is taken, and each way in which a line is refused, with its number."""

import json

import pytest

from models.domain.errors import BadTrainingData, BadTrainingRow
from models.domain.messages import Message
from models.domain.training_data import Text, read_rows
from models.domain.training_files import END, FILE_MAX

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


ASKED = (Message("user", "a"), Message("assistant", "b"))


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        {"prompt": "a", "response": "b"},
        {"question": "a", "answer": "b", "id": 3},
        {"instruction": "a", "input": "", "output": "b"},
        {"instruction": "a", "context": None, "response": "b", "category": "x"},
        {"kind": "NLI", "input": "a", "target": "b"},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {"conversations": [{"from": "User", "value": "a"}, {"from": "ASSISTANT", "value": "b"}]},
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        {"messages": json.dumps([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])},
    ],
)
def test_the_forms_that_people_have(row):
    assert read_rows(file(row, GOOD), "f") == (ASKED, ASKED)
    assert read_rows(json.dumps([row, GOOD]).encode(), "f.json") == (ASKED, ASKED)


def test_what_belongs_to_a_question_stands_below_it_and_a_system_prompt_before():
    alpaca = {"instruction": "Add.", "input": "1, 2", "output": "3", "system": "Be exact."}
    assert read_rows(file(alpaca, GOOD), "f")[0] == (
        Message("system", "Be exact."), Message("user", "Add.\n\n1, 2"), Message("assistant", "3"),
    )  # fmt: skip


def test_what_stands_beside_a_conversation_belongs_to_it():
    told, answer = (Message("system", "Be exact."), *ASKED), {"role": "assistant", "content": "b"}
    for row in (
        {"system": "Be exact.", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"system": "Be exact.", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {
            "prompt": [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "a"}],
            "completion": [{"role": "assistant", "content": "b"}],
        },
    ):
        assert read_rows(file(row, row), "f") == (told, told)
    talk = {"instruction": "a", "output": "b", "history": [["One?", "1"]]}
    assert read_rows(file(talk, talk), "f")[0] == (Message("user", "One?"), Message("assistant", "1"), *ASKED)
    for row, words in (
        ({"instruction": "a", "output": "b", "history": "One?"}, "“history” is not a list of questions with answers"),
        (
            {"system": "x", "messages": [{"role": "system", "content": "y"}, {"role": "user", "content": "a"}, answer]},
            "beside a conversation",
        ),
    ):
        with pytest.raises(BadTrainingRow, match=words):
            read_rows(file(row, row), "f")


def test_files_of_other_kinds():
    table = b'\xef\xbb\xbfquestion;answer\r\n"a";b\r\n"two\nlines; one cell";c\r\n'
    two = (Message("user", "two\nlines; one cell"), Message("assistant", "c"))
    assert read_rows(table, "f.csv") == (ASKED, two)
    assert read_rows(b"question\tanswer\na\tb\na\tb\n", "f.tsv") == (ASKED, ASKED)
    assert read_rows(json.dumps({"version": 1, "data": [GOOD, GOOD]}).encode(), "f.json") == (ASKED, ASKED)
    assert read_rows(file(GOOD, GOOD), "f.json") == (ASKED, ASKED), "JSON lines by another name"
    assert read_rows(b"One.\nTwo.\n\n\nThree.", "f.txt") == (Text("One.\nTwo."), Text("Three."))
    ended = f"One.\n\nTwo.\n{END}\nThree.\n".encode()
    assert read_rows(ended, "f.txt") == (Text("One.\n\nTwo."), Text("Three."))
    assert read_rows(file({"text": "x"}, {"text": "y"}), "f") == (Text("x"), Text("y"))


def test_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame([GOOD, GOOD]).to_parquet(tmp_path / "f.parquet")
    assert read_rows((tmp_path / "f.parquet").read_bytes(), "f.parquet") == (ASKED, ASKED)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("f.csv", b"question,answer\na,b\nc\n", "Line 3 .*1 columns, and the first line names 2"),
        ("f.csv", b'question,answer\na,"b\n', "not CSV"),
        ("f.csv", b"question,answer\na,\xff\n", "Line 2 .*UTF-8"),
        ("f.json", b'{"a": [], "b": []}', "neither a chat"),
        ("f.json", b"[1]", "Row 1 .*not a JSON object"),
        ("f.txt", b"One.\nT\xffwo.", "Line 2 .*UTF-8"),
        ("f.parquet", b"PAR1", "parquet"),
        ("f.jsonl", file(GOOD, {"text": "x"}), "some rows are chats and some are plain text"),
    ],
)
def test_files_that_cannot_be_read(name, data, words):
    with pytest.raises((BadTrainingData, BadTrainingRow), match=words):
        read_rows(data, name)


def test_renamed_columns_must_be_there():
    columns = {"Frage": "question", "Antwort": "answer"}
    assert read_rows(
        file({"Frage": "a", "Antwort": "b"}) + b"\n" + file({"Frage": "a", "Antwort": "b"}), "f", columns
    ) == (ASKED, ASKED)
    with pytest.raises(BadTrainingRow, match=r"Line 2 .*no “Antwort”"):
        read_rows(file({"Frage": "a", "Antwort": "b"}, {"Frage": "a"}), "f", columns)


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not UTF-8"),
        (3, "not a JSON object"),
        ([1], "message 1 is not an object"),
        ({}, "neither a chat"),
        ({"prompt": "a"}, "neither a chat"),
        (GOOD | {"messages": []}, "both “messages” and “prompt”"),
        ({"prompt": 1, "completion": "b"}, "“prompt” is not text"),
        ({"prompt": "a", "completion": None}, "neither a chat"),
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
