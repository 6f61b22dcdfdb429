"""One press is one GPU call, whatever it computes, and no call where no GPU is needed."""

from __future__ import annotations

import json

import httpx
import pytest

from .conftest import OTHER, TINY
from .space import Space, wait_for

GGUF = "smollm2-135m-instruct@gguf"
TEXT = "The quick brown fox jumps over the lazy dog, and nobody sees it."


def schedules(space: Space) -> int:
    return len(space.api.seen("/schedule"))


def test_a_comparison_of_adapters_modes_and_bases_with_scores_is_one_call(space: Space) -> None:
    own = [f"{TINY}@bf16", f"{TINY}@bf16+ours", f"{TINY}@bf16+yours:0.5"]
    variants = [*own, f"{TINY}@nf4", f"{OTHER}@bf16"]
    rows = space.client().predict("Hello", variants, max_new_tokens=6, text=TEXT, api_name="/compare")
    assert [row["error"] for row in rows] == [""] * 5
    assert [row["usage"]["adapters"] for row in rows[:3]] == [[], ["ours"], ["yours:0.5"]]
    assert all(row["text"] and row["figures"]["perplexity"] for row in rows)
    assert rows[1]["figures"]["measured_bytes"]
    assert schedules(space) == 1
    wait_for(lambda: space.api.seen("/release"))
    assert [released["fail"] for released in space.api.seen("/release")] == ["false"]


def test_a_score_is_one_call(space: Space) -> None:
    scored = space.client().predict(TEXT, f"{TINY}@bf16", api_name="/score")
    assert scored["tokens"]
    assert schedules(space) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_with_the_chances_of_their_tokens_are_one_call(space: Space, stream: bool) -> None:
    asked = {"model": f"{TINY}@bf16", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "n": 2}
    body = asked | {"logprobs": True, "top_logprobs": 2, "stream": stream}
    answer = httpx.post(f"{space.url}/v1/chat/completions", json=body, timeout=60)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    found = [json.loads(line) for line in lines] if stream else [answer.json()]
    choices = [choice for each in found for choice in each["choices"] if choice.get("logprobs")]
    assert [choice["index"] for choice in choices] == [0, 1]
    assert all(choice["logprobs"]["content"] for choice in choices)
    assert schedules(space) == 1
    assert space.api.settled()
    assert [released["fail"] for released in space.api.seen("/release")] == ["false"]


def test_gguf_is_computed_beside_the_gpu(space: Space) -> None:
    _, usage = space.client().predict("Hello", [], GGUF, max_new_tokens=6, temperature=0, api_name="/chat")
    assert usage["new_tokens"] == 6
    assert schedules(space) == 0
    rows = space.client().predict("Hello", [GGUF, f"{TINY}@bf16"], max_new_tokens=6, api_name="/compare")
    assert [row["error"] for row in rows] == ["", ""]
    assert schedules(space) == 1


def test_a_comparison_keeps_what_is_done_and_says_why_the_rest_did_not_run(space: Space) -> None:
    space.api.answers.append("quota")
    rows = space.client().predict(
        "Hello", [GGUF, f"{TINY}@bf16", f"{OTHER}@bf16"], max_new_tokens=6, api_name="/compare"
    )
    assert rows[0]["text"]
    assert not rows[0]["error"]
    assert all("3s left" in row["error"] for row in rows[1:])
    assert schedules(space) == 1, "who was refused is not asked for again"
