"""What ZeroGPU refuses or ends is said on the page in its own words, nothing typed is lost, and the next call works."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from gradio_client.exceptions import AppError

from .conftest import TINY
from .device_api import kill
from .space import PageVisitor, Space, wait_for

QUESTION = "What is a fox?"


def is_ready(visitor: PageVisitor) -> bool:
    """Whether the page takes the next message."""
    told = visitor.told("message")
    return told.get("submit_btn") is True and told.get("stop_btn") is False


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("quota", "3s left"),
        (503, "No GPU was available"),
        (401, "Expired ZeroGPU proxy token"),
        (("queue", 1, "failed"), "No GPU was available after 60s"),
        (500, "Internal Server Error"),
    ],
)
def test_a_refused_message_is_back_in_the_box_and_goes_out_the_next_time(space: Space, answer: Any, words: str) -> None:
    visitor = space.visitor()
    space.api.answers.append(answer)
    visitor.pressed("message", "submit", message=QUESTION, max_new_tokens=4)
    assert words in visitor.shows("chat-status")
    assert visitor.shows("message") == QUESTION
    assert is_ready(visitor)
    visitor.pressed("message", "submit", message=QUESTION, max_new_tokens=4)
    assert visitor.shows("message") == ""
    assert is_ready(visitor)
    assert len(visitor.shows("chatbot")) >= 2


def test_a_program_reads_the_sentence_of_a_refusal(space: Space) -> None:
    space.api.answers.append("quota")
    with pytest.raises(AppError, match="3s left"):
        space.client().predict("Hi", [], f"{TINY}@bf16", max_new_tokens=4, api_name="/chat")


def test_a_killed_worker_leaves_its_text_marked_and_the_page_goes_on(space: Space) -> None:
    visitor, killed = space.visitor(), threading.Event()
    for _ in visitor.press("message", "submit", message=QUESTION, max_new_tokens=2000):
        if len(visitor.shows("chatbot")) > 1 and not killed.is_set():
            killed.set()
            for pid in space.api.busy():
                kill(pid)
    shown = visitor.shows("chatbot")
    assert killed.is_set()
    assert "stopped by an error after" in shown[-1]["metadata"]["title"]
    assert "GPU task aborted" in str(shown[-1]["content"])
    assert is_ready(visitor)
    visitor.pressed("message", "submit", message="Again", max_new_tokens=4)
    assert is_ready(visitor)
    wait_for(lambda: not space.api.busy())
