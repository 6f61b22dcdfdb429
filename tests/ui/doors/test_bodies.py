"""Bodies beyond every limit: each is answered in the form of its door, what is within them arrives as sent."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from models.domain.errors import BadPost
from ui.doors.bodies import Bodies, check

QUEUE, MCP, V1, UPLOAD = "/gradio_api/queue/join", "/gradio_api/mcp/", "/v1/chat/completions", "/gradio_api/upload"
LONGEST = 100_000


async def echo(request: Request) -> JSONResponse:
    return JSONResponse({"bytes": len(await request.body())})


APP = Starlette(routes=[Route(path, echo, methods=["POST"]) for path in (QUEUE, MCP, V1, UPLOAD)])


def post(path: str, content: Any, language: str = "en", **limits: float) -> httpx.Response:
    async def sent() -> httpx.Response:
        app: Any = Bodies(APP, **{"longest": LONGEST, "whole_s": 0.3, "part_s": 0.1} | limits)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post(path, content=content, headers={"accept-language": language})

    return asyncio.run(sent())


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"x" * (LONGEST + 1), 413, "What was posted has more than 100,000 bytes. Post less at once"),
        (b'{"data":' + b"[" * 101, 400, "it is nested more than 100 deep"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, 400, "it is nested more than 100 deep"),
        (b'{"data":[' + b"9" * 5000 + b"]}", 400, "a number of hundreds of digits"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_in_the_form_of_its_door(body: bytes, status: int, sentence: str) -> None:
    reply = post(QUEUE, body)
    assert reply.status_code == status
    assert sentence in reply.json()["error"] == reply.json()["detail"]
    reply = post(MCP, body)
    assert (reply.status_code, reply.json()["jsonrpc"]) == (status, "2.0")
    assert sentence in reply.json()["error"]["message"]
    assert post(QUEUE, b"{}").json() == {"bytes": 2}, "the next one is answered"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x" * LONGEST,
        json.dumps({"text": "[" * 1000 + "9" * 1000}).encode(),
        json.dumps({"text": '\\"' * 500 + "{" * 500}).encode(),
        json.dumps([[1]] * 5000).encode(),
        b"\xff\x00" * 100,
    ],
)
def test_what_is_within_them_arrives_as_it_was_sent(body: bytes) -> None:
    assert post(QUEUE, body).json() == {"bytes": len(body)}


def test_doors_with_limits_of_their_own_keep_them() -> None:
    for path in (V1, UPLOAD):
        assert post(path, b"[" * (LONGEST + 1)).json() == {"bytes": LONGEST + 1}


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def drops(pause: float) -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x"
            await asyncio.sleep(pause)

    assert post(QUEUE, drops(0.001)).json() == {"bytes": 20}
    for pause in (0.15, 0.05):  # nothing for too long; something now and then, for too long
        reply = post(QUEUE, drops(pause))
        assert reply.status_code == 408
        assert reply.json()["error"].startswith("What was posted did not arrive in time.")
    assert "提交的内容没有及时到达" in post(QUEUE, drops(0.15), "zh-CN").json()["error"]


def test_no_more_of_a_long_body_is_held_than_says_that_it_is_long() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000_000

    tracemalloc.start()
    assert post(QUEUE, parts(), whole_s=30).status_code == 413
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10_000_000


def test_depth_is_that_of_what_is_no_text() -> None:
    check(json.dumps({"a": "]" * 300 + "[" * 300}).encode())
    with pytest.raises(BadPost):
        check(json.dumps({"a": "[", "b": json.loads("[" * 100 + "]" * 100)}).encode())
