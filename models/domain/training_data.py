"""Rows to learn from: JSON lines -> conversations, with every bad line refused by its number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from .errors import BadTrainingData, BadTrainingRow
from .messages import Message

FILE_MAX = 64 * 2**20  # bytes
ROWS_MIN = 2  # one to learn from, one to be held out
_ROLES = ("system", "user", "assistant")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer can encode
Refuse = Callable[[str], BadTrainingRow]


def read_rows(data: bytes, file: str) -> tuple[tuple[Message, ...], ...]:
    """The conversations of a file, one a line that is not blank; raises BadTrainingData or BadTrainingRow.

    A line is {"messages": [{"role", "content"}, ...]} or {"prompt", "completion"}, one question and its answer.
    """
    if len(data) > FILE_MAX:
        raise BadTrainingData(file=file, reason=f"it is larger than {FILE_MAX // 2**20} MiB")
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    rows = tuple(_row(line, file, number) for number, line in enumerate(lines, 1) if line.strip())
    if not rows:
        raise BadTrainingData(file=file, reason="it is empty")
    if len(rows) < ROWS_MIN:
        raise BadTrainingData(file=file, reason="it has one row, and one more is needed to check the result")
    return rows


def _row(line: bytes, file: str, number: int) -> tuple[Message, ...]:
    def refuse(reason: str) -> BadTrainingRow:
        return BadTrainingRow(file=file, line=number, reason=reason)

    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise refuse("it is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise refuse(f"it is not JSON ({str(error).partition(':')[0][:80]})") from None
    if not isinstance(row, dict):
        raise refuse("it is not a JSON object")
    pair = [field for field in ("prompt", "completion") if field in row]
    if "messages" in row and pair:
        raise refuse(f"it has both “messages” and “{pair[0]}”")
    if "messages" in row:
        return _messages(row["messages"], refuse)
    if len(pair) < 2:
        raise refuse("it has neither “messages” nor “prompt” and “completion”")
    question, answer = (_text(row[field], f"“{field}”", refuse) for field in pair)
    return Message("user", question), Message("assistant", answer)


def _messages(value: Any, refuse: Refuse) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise refuse("its “messages” is not a list of messages")
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
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise refuse(f"message {number} has the role “{str(role)[:40]}”, not system, user or assistant")
    return Message(role, _text(item.get("content"), f"the content of message {number}", refuse))  # type: ignore[arg-type]


def _text(value: Any, what: str, refuse: Refuse) -> str:
    if not isinstance(value, str):
        raise refuse(f"{what} is not text")
    if not value.strip():
        raise refuse(f"{what} is empty")
    if _SURROGATE.search(value):
        raise refuse(f"{what} contains a broken character (half of a surrogate pair)")
    return value
