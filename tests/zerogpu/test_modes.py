"""What a press asks of ZeroGPU's scheduler, mode by mode, under the real worker code."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .conftest import TINY
from .space import Space, visitor_token, wait_for

SAFETENSORS = ("bf16", "fp16", "fp32", "int8", "nf4", "nf4-single", "fp4", "fp4-single")  # all that a GPU computes


def usage(answer: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return answer[1]


@pytest.mark.parametrize("mode", SAFETENSORS)
def test_a_chat_is_one_call_for_its_visitor_and_answered_in_a_worker(space: Space, mode: str) -> None:
    text, cost = space.client("ann").predict(
        "Hello", [], f"{TINY}@{mode}", max_new_tokens=8, temperature=0, api_name="/chat"
    )
    assert text
    assert cost["new_tokens"] == 8
    (asked,) = space.api.seen("/schedule")
    assert asked["token"] == visitor_token("ann")
    assert 1 <= int(asked["durationSeconds"]) <= 120
    (allowed,) = space.api.seen("/allow") or [{"pid": "0"}]  # a worker that is there is used again
    assert int(allowed["pid"]) != space.process.pid
    assert space.api.settled()
    wait_for(lambda: space.api.seen("/release"))
    assert [released["fail"] for released in space.api.seen("/release")] == ["false"]


def test_a_program_that_speaks_openai_s_api_has_its_own_quota(space: Space) -> None:
    greedy = {"max_tokens": 8, "temperature": 0}  # four random tokens may be no whole character
    body = {"model": f"{TINY}@bf16", "messages": [{"role": "user", "content": "Hello"}], **greedy}
    answer = httpx.post(
        f"{space.url}/v1/chat/completions", json=body, headers={"x-ip-token": visitor_token("bob")}, timeout=60
    )
    assert answer.json()["choices"][0]["message"]["content"]
    (asked,) = space.api.seen("/schedule")
    assert asked["token"] == visitor_token("bob")


def test_two_visitors_at_once_have_a_worker_each(space: Space) -> None:
    asked = {"max_new_tokens": 200, "api_name": "/chat"}
    jobs = [space.client(user).submit("Hello", [], f"{TINY}@bf16", **asked) for user in ("ann", "bob")]
    assert all(job.result(timeout=60)[1]["finish"] for job in jobs)
    assert {query["token"] for query in space.api.seen("/schedule")} == {visitor_token("ann"), visitor_token("bob")}
