"""Rows to learn from, in the forms that people have them -> chats or plain text; a bad one is refused by its place.

Chat rows ("messages", or ShareGPT's "conversations"), a question with its answer under the usual names (Alpaca, Dolly,
prompt and completion), or "text", which is learned as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from .errors import BadTrainingData, BadTrainingRow
from .messages import Message
from .training_files import Place, read_records

OPENING_WORDS = 8
ROWS_MIN = 2  # one to learn from, one to be held out
CHAT, TEXT = ("messages", "conversations"), "text"
# Fields of a question and its answer: what is asked, what belongs to the question where it is there, the answer.
PAIRS = (
    ("prompt", "", "completion"),
    ("prompt", "", "response"),
    ("instruction", "input", "output"),  # Alpaca, Belle
    ("instruction", "context", "response"),  # Dolly
    ("question", "", "answer"),
    ("input", "", "target"),  # Firefly
)
NAMES = tuple(dict.fromkeys((*CHAT, TEXT, *(name for pair in PAIRS for name in pair if name))))
# How other programs name who speaks.
ROLES: Mapping[str, str] = MappingProxyType(
    {name: name for name in ("system", "user", "assistant")}
    | dict.fromkeys(("human", "prompter"), "user")
    | dict.fromkeys(("gpt", "chatgpt", "bot", "model"), "assistant")
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer can encode
Refuse = Callable[[str], BadTrainingRow]


@dataclass(frozen=True)
class Text:
    """A document that is learned as a whole, as in pretraining."""

    content: str


Row = tuple[Message, ...] | Text


def read_rows(data: bytes, file: str, columns: Mapping[str, str] = MappingProxyType({})) -> tuple[Row, ...]:
    """The rows of a file, with `columns` renamed before they are looked at ({"Frage": "question"}).

    Raises BadTrainingData or BadTrainingRow.
    """
    rows = tuple(_row(record, place.refused, columns) for place, record in read_records(data, file))
    if not rows:
        raise BadTrainingData(file=file, reason="it is empty")
    if len(rows) < ROWS_MIN:
        raise BadTrainingData(file=file, reason="it has one row, and one more is needed to check the result")
    if len({isinstance(row, Text) for row in rows}) > 1:
        raise BadTrainingData(file=file, reason="some rows are chats and some are plain text")
    return rows


def question_of(row: Row) -> str:
    """What a row asks first, or how its text begins."""
    if isinstance(row, Text):
        return " ".join(row.content.split()[:OPENING_WORDS])
    return next((message.content for message in row if message.role == "user"), "")


def is_usable(record: Any) -> bool:
    """Whether a record is a row to learn from."""
    try:
        _row(record, Place("Row", 0, "").refused, {})
    except BadTrainingRow:
        return False
    return True


def _row(record: Any, refuse: Refuse, columns: Mapping[str, str]) -> Row:
    if isinstance(record, list):  # a chat without a name
        record = {"messages": record}
    if not isinstance(record, dict):
        raise refuse("it is not a JSON object")
    for column in columns:
        if column not in record:
            raise refuse(f"it has no “{column}”")
    row = {columns.get(name, name): value for name, value in record.items() if value is not None}
    chats = [name for name in CHAT if name in row]
    pair = next((names for names in PAIRS if names[0] in row and names[2] in row), None)
    forms = chats + ([pair[0]] if pair else [])
    if len(forms) > 1:
        raise refuse(f"it has both “{forms[0]}” and “{forms[1]}”")
    if chats:
        return _with_system(row, _messages(row[chats[0]], chats[0], refuse), refuse)
    if pair:
        return _pair(row, pair, refuse)
    if TEXT in row:
        return Text(_text(row[TEXT], f"“{TEXT}”", refuse))
    held = ", ".join(f"“{name[:40]}”" for name in list(record)[:4]) or "nothing"
    raise refuse(f"it has neither a chat, nor a question with its answer, nor “{TEXT}”, but {held}")


def _pair(row: Mapping[str, Any], names: tuple[str, str, str], refuse: Refuse) -> tuple[Message, ...]:
    asked, beside, answered = names
    if isinstance(row[asked], list) and isinstance(row[answered], list):  # TRL: both are messages
        return _with_system(row, _messages([*row[asked], *row[answered]], asked, refuse), refuse)
    question, answer = (_text(row[name], f"“{name}”", refuse) for name in (asked, answered))
    if beside and str(row.get(beside, "")).strip():
        question += "\n\n" + _text(row[beside], f"“{beside}”", refuse)
    return _with_system(row, (*_earlier(row, refuse), Message("user", question), Message("assistant", answer)), refuse)


def _with_system(row: Mapping[str, Any], talk: tuple[Message, ...], refuse: Refuse) -> tuple[Message, ...]:
    """With the system prompt that stands beside a conversation, which has none of its own."""
    system = row.get("system")
    if not str(system or "").strip():
        return talk
    if talk[0].role == "system":
        raise refuse("it has a “system” beside a conversation with a system message")
    return Message("system", _text(system, "“system”", refuse)), *talk


def _earlier(row: Mapping[str, Any], refuse: Refuse) -> Iterator[Message]:
    """The turns before a question, as Alpaca's “history” has them: pairs of a question and its answer."""
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(turn, list) and len(turn) == 2 for turn in history):
        raise refuse("its “history” is not a list of questions with answers")
    for asked, answered in history:
        yield Message("user", _text(asked, "a question of its “history”", refuse))
        yield Message("assistant", _text(answered, "an answer of its “history”", refuse))


def _messages(value: Any, name: str, refuse: Refuse) -> tuple[Message, ...]:
    if isinstance(value, str):  # a cell of a CSV file
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise refuse(f"its “{name}” is not a list of messages") from None
    if not isinstance(value, list) or not value:
        raise refuse(f"its “{name}” is not a list of messages")
    if len(value) > 1 and all(isinstance(item, str) for item in value):  # LIMA: who speaks is known by the place
        value = [{"role": ("user", "assistant")[at % 2], "content": item} for at, item in enumerate(value)]
    messages = tuple(_message(item, number, refuse) for number, item in enumerate(value, 1))
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        raise refuse("no message has the role “assistant”, so there is no answer to learn")
    if "system" in roles[1:]:
        raise refuse("a system message is not at the beginning")
    turns = roles[1:] if roles[0] == "system" else roles
    if turns[0] == "assistant":
        raise refuse("it starts with an answer that has no question")
    for earlier, later in pairwise(turns):
        if earlier == later:
            raise refuse(f"two {later} messages follow each other")
    return messages


def _message(item: Any, number: int, refuse: Refuse) -> Message:
    if not isinstance(item, dict):
        raise refuse(f"message {number} is not an object with “role” and “content”")
    said = item.get("role", item.get("from"))
    role = ROLES.get(said.lower()) if isinstance(said, str) else None
    if role is None:
        raise refuse(f"message {number} has the role “{str(said)[:40]}”, not system, user or assistant")
    content = item.get("content", item.get("value", item.get("text")))
    return Message(role, _text(content, f"the content of message {number}", refuse))  # type: ignore[arg-type]


def _text(value: Any, what: str, refuse: Refuse) -> str:
    if not isinstance(value, str):
        raise refuse(f"{what} is not text")
    if not value.strip():
        raise refuse(f"{what} is empty")
    if _SURROGATE.search(value):
        raise refuse(f"{what} contains a broken character (half of a surrogate pair)")
    return value
