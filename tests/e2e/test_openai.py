"""/v1 as programs use it: OpenAI's own client, and plain HTTP where a client would not go."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from gradio_client import Client

from tests.conftest import SMOLLM2, ServedApp, served

ASKED: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 16}


def client_of(app: ServedApp, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{app.url}/v1", api_key=key, max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """The app whose model answers with the question, where /v1 asks for a key."""
    folder, env = tmp_path_factory.mktemp("keyed"), {"PADDOCK_PRELOAD": "0", "PADDOCK_API_KEYS": "one,two"}
    yield from served(folder, "tests/e2e/echo_app.py", PADDOCK_MAX_CHARACTERS="2000", **env)


@pytest.mark.parametrize("quantization", ["gguf", "bf16"])
def test_answers_are_those_of_the_pages_endpoint_whole_and_streamed(app: ServedApp, quantization: str) -> None:
    client, model = client_of(app), f"{SMOLLM2}@{quantization}"
    program = Client(app.url, verbose=False, analytics_enabled=False)
    wanted, usage = program.submit(
        ASKED[0]["content"], variant=model, temperature=0, max_new_tokens=16, api_name="/chat"
    ).result(120)
    whole = client.chat.completions.create(model=model, messages=ASKED, **GREEDY)
    assert whole.choices[0].message.content == wanted
    assert whole.usage is not None
    assert whole.usage.completion_tokens == usage["new_tokens"]
    assert whole.usage.prompt_tokens == usage["prompt_tokens"]
    pieces = list(
        client.chat.completions.create(
            model=model, messages=ASKED, stream=True, stream_options={"include_usage": True}, **GREEDY
        )
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces[:-1]) == wanted
    assert pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens == usage["new_tokens"]
    assert len(pieces) > 6  # a piece a token
    program.close()


def test_completions_seeds_and_several_choices(app: ServedApp) -> None:
    client, asked = client_of(app), {"model": f"{SMOLLM2}@gguf", "prompt": "Once upon a time", "max_tokens": 12}
    first = client.completions.create(**asked, seed=7, n=2)
    again = client.completions.create(**asked, seed=7, n=2)
    texts = [choice.text for choice in first.choices]
    assert texts == [choice.text for choice in again.choices]
    assert texts[0] != texts[1]
    assert [choice.finish_reason for choice in first.choices] == ["length", "length"]
    assert client.completions.create(**asked, seed=8).choices[0].text == texts[1]
    cut = client.completions.create(**asked | {"max_tokens": 60}, temperature=0, stop=[","])
    assert (cut.choices[0].finish_reason, "," in cut.choices[0].text) == ("stop", False)


def test_models_are_listed_by_their_notation(app: ServedApp) -> None:
    client = client_of(app)
    listed = [model.id for model in client.models.list()]
    assert SMOLLM2 in listed
    assert client.models.retrieve(f"{SMOLLM2}@nf4").id == f"{SMOLLM2}@nf4"
    with pytest.raises(openai.NotFoundError, match="There is no model called"):
        client.models.retrieve("parrot-1b")


def test_failures_have_openais_form(app: ServedApp) -> None:
    client = client_of(app)
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="parrot-1b", messages=ASKED)
    assert missing.value.code == "unknown_model"
    with pytest.raises(openai.BadRequestError, match="temperature is 3"):
        client.chat.completions.create(model=SMOLLM2, messages=ASKED, temperature=3)
    with pytest.raises(openai.BadRequestError, match="room for"):  # found out by the engine only, in the stream too
        client.completions.create(model=f"{SMOLLM2}@gguf", prompt="word " * 9000, max_tokens=1)
    with pytest.raises(openai.APIError, match="room for"):
        list(client.completions.create(model=f"{SMOLLM2}@gguf", prompt="word " * 9000, max_tokens=1, stream=True))


def test_keys_limits_and_bad_bodies(keyed: ServedApp) -> None:
    with pytest.raises(openai.AuthenticationError):
        client_of(keyed, "three").models.list()
    answer = client_of(keyed, "two").chat.completions.create(model=SMOLLM2, messages=ASKED)
    assert answer.choices[0].message.content == ASKED[0]["content"]
    headers = {"Authorization": "Bearer one", "Content-Type": "application/json"}
    chat = f"{keyed.url}/v1/chat/completions"
    for content, status in (
        ("{", 400),
        ("[" * 100_000, 400),
        (json.dumps({"messages": [{"role": "user", "content": "x" * 3000}]}), 400),
        (json.dumps({"messages": [{"role": "user", "content": "\ud800"}]}), 400),
        ("x" * 300_000, 400),
    ):
        reply = httpx.post(chat, content=content, headers=headers)
        assert (reply.status_code, set(reply.json()["error"])) == (status, {"message", "type", "param", "code"})
    plain = httpx.post(chat, json={"messages": ASKED}, headers=headers | {"Content-Type": "text/plain"})
    assert plain.status_code == 400  # what a page of another origin could post without being asked
    assert "one" not in keyed.log.read_text().split()


def test_a_program_that_goes_away_ends_the_computation(app: ServedApp) -> None:
    body = json.dumps({"model": f"{SMOLLM2}@gguf", "prompt": "Once", "max_tokens": 2000, "stream": True, "top_k": 1})
    host, port = app.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        seen = b""
        while seen.count(b"data: ") < 5:
            seen += raw.recv(4096)
        assert "in use" in held(app)
    deadline = time.monotonic() + 5
    while "in use" in held(app):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def held(app: ServedApp) -> str:
    """What the page says is in memory."""
    config = httpx.get(f"{app.url}/config").json()
    looks = [one for one in config["dependencies"] if one["targets"] and one["targets"][0][1] == "tick"]
    reply = httpx.post(
        f"{app.url}/gradio_api/run/predict", json={"data": [], "fn_index": looks[0]["id"], "session_hash": "held"}
    )
    return str(reply.json())
