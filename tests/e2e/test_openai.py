"""/v1 as programs use it: OpenAI's own client, and plain HTTP where a client would not go."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
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


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer"},
        "job": {"enum": ["a", "b"]},
    },
    "required": ["name", "age", "job"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("quantization", ["gguf", "bf16"])
def test_an_answer_keeps_to_a_json_schema(app: ServedApp, quantization: str) -> None:
    client, model = client_of(app), f"{SMOLLM2}@{quantization}"
    shaped: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    asked: dict[str, Any] = {"model": model, "max_tokens": 80, "seed": 3, "messages": ASKED}  # that is no JSON
    answer = client.chat.completions.create(**asked, response_format=shaped)
    assert answer.choices[0].finish_reason == "stop"
    person = json.loads(answer.choices[0].message.content or "")
    assert set(person) == {"name", "age", "job"}
    assert (type(person["age"]), person["job"] in ("a", "b")) == (int, True)
    nonsense: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked, response_format=nonsense)
    assert refused.value.code == "bad_schema"


@pytest.mark.parametrize("quantization", ["gguf", "bf16"])
def test_tokens_have_their_probabilities(app: ServedApp, quantization: str) -> None:
    client, model = client_of(app), f"{SMOLLM2}@{quantization}"
    asked: dict[str, Any] = {"model": model, "messages": ASKED, "logprobs": True, "top_logprobs": 2, **GREEDY}
    answer = client.chat.completions.create(**asked)
    (choice,) = answer.choices
    assert choice.logprobs is not None
    told = choice.logprobs.content or []
    assert "".join(token.token for token in told) == choice.message.content
    for token in told:  # greedy takes the likeliest
        assert token.top_logprobs[0].token == token.token
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob, abs=0.01)
        assert 0 >= token.logprob >= token.top_logprobs[1].logprob - 0.01
    last = [piece for piece in client.chat.completions.create(**asked, stream=True) if piece.choices[0].logprobs]
    assert [len(piece.choices[0].logprobs.content or []) for piece in last] == [len(told)]
    text = client.completions.create(model=model, prompt="One, two, three,", max_tokens=6, temperature=0, logprobs=1)
    chances = text.choices[0].logprobs
    assert chances is not None
    assert "".join(chances.tokens or []) == text.choices[0].text
    assert [len(best) for best in chances.top_logprobs or []] == [1] * len(chances.tokens or [])


@pytest.mark.slow
def test_the_llm_command_talks_to_it(app: ServedApp, tmp_path: Path) -> None:
    model = {"model_id": "paddock", "model_name": f"{SMOLLM2}@gguf", "api_base": f"{app.url}/v1"}
    listed = [model | {"supports_schema": True}]
    (tmp_path / "extra-openai-models.yaml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    env = os.environ | {"LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"}
    ask = ["llm", "-m", "paddock", "-o", "temperature", "0", "-o", "max_tokens", "16", ASKED[0]["content"]]
    wanted = client_of(app).chat.completions.create(model=f"{SMOLLM2}@gguf", messages=ASKED, **GREEDY)
    for more in ([], ["--no-stream"]):
        done = subprocess.run([*ask, *more], env=env, capture_output=True, text=True, timeout=120)
        assert done.stdout.strip() == (wanted.choices[0].message.content or "").strip(), done.stderr
    shaped = [*ask[:5], "0", "--schema", "name, age int", "Invent a person."]
    done = subprocess.run(shaped, env=env, capture_output=True, text=True, timeout=120)
    person = json.loads(done.stdout)  # its schema allows more
    assert (type(person["name"]), type(person["age"])) == (str, int), done.stderr


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
    looks = [
        one for one in config["dependencies"] if one["targets"] and one["targets"][0][1] == "tick" and not one["inputs"]
    ]
    reply = httpx.post(
        f"{app.url}/gradio_api/run/predict", json={"data": [], "fn_index": looks[0]["id"], "session_hash": "held"}
    )
    return str(reply.json())
