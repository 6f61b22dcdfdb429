"""A worker is forked whatever other threads of the app do then, and never waits for a lock that they held."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import OTHER, TINY
from .device_api import DeviceApi
from .space import Space


@pytest.fixture(scope="module")
def busy(tiny_models: Path) -> Iterator[Space]:
    """The busy app; each call gets a new worker."""
    env = {"PADDOCK_DEFAULT_VARIANT": f"{TINY}@bf16", "BUSY_TOKENIZER": str(tiny_models / TINY / "tokenizer.json")}
    with DeviceApi(reuse=False) as api, Space(api, tiny_models, "tests/zerogpu/busy_app.py", **env) as app:
        yield app


def fork(space: Space, times: int) -> None:
    """So many calls in new workers, half of them with a load, beside visitors who look through the models."""
    over = threading.Event()

    def look() -> None:
        client = space.client("other")
        while not over.is_set():
            client.predict(api_name="/models")

    looker = threading.Thread(target=look)
    looker.start()
    try:
        client = space.client()
        for number in range(times):
            variant = f"{(TINY, OTHER)[number % 2]}@bf16"
            job = client.submit("Hello", [], variant, max_new_tokens=4, api_name="/chat")
            assert job.result(timeout=60)[1]["new_tokens"] >= 1
    finally:
        over.set()
        looker.join()
    assert len({query["pid"] for query in space.api.seen("/allow")}) >= times


def test_a_few_forks(busy: Space) -> None:
    fork(busy, 3)


def test_a_worker_imports_nothing(busy: Space) -> None:
    said = busy.printed.count("IMPORTED")
    client = busy.client()
    # A closed schema: in an open one, a model of random weights adds members until its tokens are used up.
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    for variant in (f"{OTHER}@bf16", f"{TINY}@nf4", f"{TINY}@bf16+ours"):
        assert client.predict("Hello", [], variant, max_new_tokens=4, api_name="/chat")[1]["new_tokens"]
    assert client.predict("Once upon a time there was a fox.", f"{TINY}@bf16", api_name="/score")["tokens"]
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = {"model": f"{TINY}@bf16", "messages": [{"role": "user", "content": "Hello"}], "response_format": form}
    answer = httpx.post(f"{busy.url}/v1/chat/completions", json=body, timeout=60)
    assert "a" in json.loads(answer.json()["choices"][0]["message"]["content"])
    lines = [line for line in busy.printed.splitlines() if line.startswith("IMPORTED")][said:]
    assert lines == ["IMPORTED []"] * 5


@pytest.mark.slow
def test_fifty_forks(busy: Space) -> None:
    fork(busy, 50)
