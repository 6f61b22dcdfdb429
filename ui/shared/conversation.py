"""Messages as a Chatbot is given them: texts and titled notes. `content` is the exact text until `drawn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import exact


def note(title: str, details: str, over: bool = True) -> dict[str, Any]:
    """A line beside an answer that opens to details, and is open until it is `over`; `read_history` leaves it out."""
    metadata = {"title": title, "status": "done" if over else "pending"}
    return {"role": "assistant", "content": details, "metadata": metadata}


def drawn(messages: Sequence[dict[str, Any]], raw: bool) -> list[dict[str, Any]]:
    """Messages for the Chatbot: questions as they were typed, answers as Markdown that hides nothing, or as written.

    As parts, since Gradio cleans the indentation of content that is a plain string.
    """
    return [message | {"content": [{"type": "text", "text": _drawn(message, raw)}]} for message in messages]


def _drawn(message: dict[str, Any], raw: bool) -> str:
    as_written = message["role"] == "user" or (raw and "metadata" not in message)
    return (exact.verbatim if as_written else exact.formatted)(message["content"])
