"""A worker over several calls: what it keeps, what it ends by itself, and what it is given up for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client.exceptions import AppError

from .conftest import OTHER, TINY
from .device_api import DeviceApi
from .hard_app import OUT_OF_MEMORY, STUCK, UNKNOWN
from .space import Columns, Space, wait_for

DECLARED_S = 9


@pytest.fixture(scope="module")
def models(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that a test may add to."""
    folder = tmp_path_factory.mktemp("own") / "models"
    shutil.copytree(tiny_models, folder)
    return folder


@pytest.fixture(scope="module")
def slow(models: Path) -> Iterator[Space]:
    """The app that takes a twentieth of a second for a token, and asks for nine seconds at the most."""
    env = {"PADDOCK_DEFAULT_VARIANT": f"{TINY}@bf16", "PADDOCK_PACKED": "none", "PADDOCK_GPU_SECONDS": str(DECLARED_S)}
    with (
        DeviceApi(patience_s=0) as api,
        Space(api, models, "tests/zerogpu/hard_app.py", **env, SLOW_TOKEN_S="0.05") as app,
    ):
        yield app


def chat(space: Space, variant: str = f"{TINY}@bf16", **asked: Any) -> tuple[str, dict[str, Any]]:
    return space.client().predict("Hello", [], variant, **{"max_new_tokens": 6, **asked}, api_name="/chat")


def workers(space: Space) -> list[str]:
    return [query["pid"] for query in space.api.seen("/allow")]


@pytest.mark.slow
def test_a_second_model_and_the_first_again_share_a_worker(slow: Space) -> None:
    loads = [chat(slow, variant)[1]["load_s"] for variant in (f"{TINY}@bf16", f"{OTHER}@bf16", f"{TINY}@bf16")]
    assert loads[2] < min(loads[:2]) / 5
    assert len(workers(slow)) <= 1


@pytest.mark.slow
def test_a_model_that_came_after_the_fork_is_loaded_by_the_worker_that_is_there(slow: Space, models: Path) -> None:
    chat(slow)
    before = len(workers(slow))
    shutil.copytree(models / OTHER, models / "tiny" / "new")
    assert chat(slow, "tiny/new@bf16")[1]["new_tokens"] >= 1
    assert len(workers(slow)) == before


def test_out_of_memory_is_said_and_the_worker_goes_on(slow: Space) -> None:
    chat(slow)
    before = len(workers(slow))
    with pytest.raises(AppError, match="not enough memory"):
        chat(slow, seed=OUT_OF_MEMORY)
    assert chat(slow)[1]["new_tokens"] == 6
    assert len(workers(slow)) == before


def test_after_an_unknown_failure_the_next_call_gets_another_worker(slow: Space) -> None:
    chat(slow)
    before = len(workers(slow))
    with pytest.raises(AppError, match="KeyError"):
        chat(slow, seed=UNKNOWN)
    wait_for(lambda: any(released["fail"] == "true" for released in slow.api.seen("/release")))
    assert chat(slow)[1]["new_tokens"] == 6
    assert len(workers(slow)) == before + 1


def test_an_answer_ends_with_its_text_before_the_gpu_is_taken_away(slow: Space) -> None:
    began = time.monotonic()
    text, usage = chat(slow, max_new_tokens=2000)
    assert usage["finish"] == "time_limit"
    assert usage["new_tokens"] > 20
    assert text
    assert time.monotonic() - began < DECLARED_S + 1
    assert slow.api.seen("/schedule")[-1]["durationSeconds"] == str(DECLARED_S)
    wait_for(lambda: slow.api.seen("/release"))
    assert slow.api.seen("/release")[-1]["fail"] == "false", "nobody had to kill it"


def test_a_worker_that_is_killed_for_its_time_is_said_in_the_columns(slow: Space) -> None:
    chat(slow)  # so that a call is short
    visitor = slow.visitor()
    visitor.keeps("paddock-candidates", [f"{TINY}@bf16", f"{TINY}@bf16+ours"])
    asked = {"compare_prompt": "Hello", "compare_quality": False, "max_new_tokens": 20}
    visitor.pressed("compare-go", "click", **asked, seed=STUCK)
    assert all("GPU task aborted" in text for text in Columns(visitor.shows("compare-columns")).texts)
    assert visitor.told("compare-go")["interactive"]
    visitor.pressed("compare-go", "click", **asked, seed=1)
    assert all("20 tokens" in text for text in Columns(visitor.shows("compare-columns")).texts)


def test_a_worker_that_is_killed_for_its_time_leaves_its_text_in_the_chat(slow: Space) -> None:
    chat(slow)
    visitor = slow.visitor()
    visitor.pressed("message", "submit", message="Hello", max_new_tokens=20, seed=STUCK)
    last = visitor.shows("chatbot")[-1]
    assert "stopped by an error after" in last["metadata"]["title"]
    assert "GPU task aborted" in str(last["content"])
    assert visitor.told("message")["submit_btn"] is True
    assert chat(slow)[1]["new_tokens"] == 6


def test_sigterm_ends_the_app_its_workers_and_llama_within_two_seconds(slow: Space) -> None:
    chat(slow, "smollm2-135m-instruct@gguf")
    slow.client().submit("Hello", [], f"{TINY}@bf16", max_new_tokens=2000, api_name="/chat")
    wait_for(slow.api.busy)
    assert len(slow.processes()) >= 3
    slow.process.terminate()
    wait_for(lambda: not slow.processes(), 2)
