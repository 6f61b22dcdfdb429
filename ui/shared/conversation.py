"""What a Chatbot's value is, comes back as, and where it is cut: text and titled notes, nothing else.

Inside, `content` is the exact text. What the Chatbot is given is made by `drawn`, and `as_text` reads it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.domain.errors import BadHistory, PaddockError
from models.domain.messages import read_history

from . import exact


def as_text(posted: Any) -> list[dict[str, Any]]:
    """A posted conversation rebuilt from its texts, so that no file or component travels on; raises BadHistory."""
    if not isinstance(posted, list):
        raise BadHistory(reason="it is not a list of messages")
    return [_as_text(message, number) for number, message in enumerate(posted, 1)]


def drawn(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages for the Chatbot: questions as they were typed, answers as Markdown that hides nothing.

    As parts, since Gradio cleans the indentation of content that is a plain string.
    """
    return [message | {"content": [{"type": "text", "text": _drawn(message)}]} for message in messages]


def restored(kept: Any) -> list[dict[str, Any]]:
    """The conversation that a browser kept, for the Chatbot; nothing if it is not one."""
    try:
        return drawn(as_text(kept))
    except PaddockError:
        return []


def before(posted: Any, index: int | tuple[int, int]) -> tuple[list[dict[str, Any]], str]:
    """The messages before the one at `index`, and its text; raises BadHistory."""
    at = index if isinstance(index, int) else index[0]
    conversation = as_text(posted)
    if not 0 <= at < len(conversation):
        raise BadHistory(reason=f"it has no message {at + 1}")
    return conversation[:at], conversation[at]["content"]


def note(title: str, details: str) -> dict[str, Any]:
    """A line under an answer that opens to details; `read_history` leaves it out."""
    return {"role": "assistant", "content": details, "metadata": {"title": title, "status": "done"}}


def _as_text(message: Any, number: int) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise BadHistory(reason=f"message {number} is not an object with role and content")
    (text,) = read_history([{"role": "user", "content": message.get("content")}])
    metadata = message.get("metadata")
    title = metadata.get("title") if isinstance(metadata, dict) else None
    content = exact.read(text.content)
    return note(str(title), content) if title else {"role": message.get("role"), "content": content}


def _drawn(message: dict[str, Any]) -> str:
    return (exact.verbatim if message["role"] == "user" else exact.formatted)(message["content"])
