"""What ZeroGPU refuses or ends within a comparison is said in its columns, and the page goes on from there."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import OTHER, TINY
from .device_api import kill
from .patient_app import MORE_S
from .space import Columns, PageVisitor, Space, wait_for

LISTED = "smollm2-135m-instruct"  # there as GGUF, too
PROMPT = {"compare_prompt": "What is a fox?", "compare_quality": False, "max_new_tokens": 6}


def columns(visitor: PageVisitor) -> Columns:
    return Columns(visitor.shows("compare-columns"))


def is_ready(visitor: PageVisitor) -> bool:
    """Whether the page can compare again, with the prompt still there."""
    ready = visitor.told("compare-go").get("interactive") and not visitor.told("compare-stop").get("interactive")
    return bool(ready) and visitor.shows("compare-prompt") == PROMPT["compare_prompt"]


@pytest.mark.parametrize(("answer", "words"), [("quota", "3s left"), (401, "Expired ZeroGPU proxy token")])
def test_a_refused_column_says_why_and_answers_as_gguf_after_one_press(space: Space, answer: Any, words: str) -> None:
    visitor = space.visitor()
    visitor.keeps("paddock-candidates", [f"{LISTED}@bf16", f"{TINY}@bf16"])
    space.api.answers.extend([answer] * 2)  # of two bases: what loads took before decides if they are one call
    visitor.pressed("compare-go", "click", **PROMPT)
    asked = len(space.api.seen("/schedule"))
    space.api.answers.clear()
    assert all(words in text for text in columns(visitor).texts)
    assert is_ready(visitor)
    press = columns(visitor).presses[0]["instead"]
    visitor.pressed("compare-columns", "retry", {"pressed": press})
    assert f"{LISTED}@gguf" in visitor.shows("compare-columns")
    first, second = columns(visitor).texts
    assert "6 tokens" in first
    assert words in second, "it stands as it was"
    assert len(space.api.seen("/schedule")) == asked, "no GPU is asked for"
    visitor.pressed("compare-columns", "retry", {"pressed": columns(visitor).presses[1]["again"]})
    assert "6 tokens" in columns(visitor).texts[1]
    assert is_ready(visitor)


def test_a_worker_that_is_killed_leaves_what_was_done_and_the_next_call_works(space: Space) -> None:
    visitor, killed = space.visitor(), False
    visitor.keeps("paddock-candidates", [f"{TINY}@bf16", f"{OTHER}@bf16"])
    for _ in visitor.press("compare-go", "click", **PROMPT | {"max_new_tokens": 1000}):
        texts = columns(visitor).texts
        if not killed and len(texts) == 2 and "limit" in texts[0] and "tok/s" in texts[1]:
            killed = bool([kill(pid) for pid in space.api.busy()])
    assert killed
    first, second = columns(visitor).texts
    assert "GPU task aborted" not in first
    assert "GPU task aborted" in second
    assert "The text so far is kept" in second
    assert is_ready(visitor)
    wait_for(lambda: not space.api.busy())
    visitor.pressed("compare-go", "click", **PROMPT)
    assert all("6 tokens" in text for text in columns(visitor).texts)


def test_a_batch_of_four_is_declared_with_less_than_twice_the_time_of_one(space: Space) -> None:
    space.client().predict("Hello", [], f"{TINY}@bf16+ours", max_new_tokens=16, api_name="/chat")  # which is measured
    visitor, declared = space.visitor(), []
    rows = [f"{TINY}@bf16+ours:{weight}" for weight in (0.25, 0.5, 0.75, 1)]
    for variants in (rows[:1] * 2, rows):
        visitor.keeps("paddock-candidates", variants)
        space.api.answers.append("quota")  # what was declared is known by then
        visitor.pressed("compare-go", "click", **PROMPT | {"max_new_tokens": 1000, "compare_one_pass": True})
        declared.append(int(space.api.seen("/schedule")[-1]["durationSeconds"]) - MORE_S)
    one, four = declared
    assert one <= four < 2 * one
