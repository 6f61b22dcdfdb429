"""A press on Stop gives the GPU back within a second, wherever the computation is, and nobody else waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import TINY
from .device_api import DeviceApi
from .space import PageVisitor, Space, wait_for

SOON_S = 1.0
LONG = "fox " * 200


@pytest.fixture(scope="module")
def slow(tiny_models: Path) -> Iterator[Space]:
    """The app with a start of three seconds, a load of four, and a prefill of ten for long prompts."""
    env = {"PADDOCK_DEFAULT_VARIANT": f"{TINY}@bf16", "PADDOCK_PACKED": "none"}
    slowly = {"SLOW_START_S": "3", "SLOW_LOAD_S": "4", "SLOW_PREFILL_S": "10"}
    with DeviceApi() as api, Space(api, tiny_models, "tests/zerogpu/hard_app.py", **env, **slowly) as app:
        yield app


def stopped(space: Space, visitor: PageVisitor, thread: threading.Thread, over: object) -> None:
    """Press Stop: the page is ready and the GPU free soon, and a request to the server is answered at any time."""
    worst, halt = [0.0], threading.Event()

    def probe() -> None:
        while not halt.is_set():
            began = time.monotonic()
            httpx.get(f"{space.url}/theme.css")
            worst[0] = max(worst[0], time.monotonic() - began)

    prober = threading.Thread(target=probe)
    prober.start()
    began = time.monotonic()
    visitor.at_once("message", "stop")
    wait_for(over, 5)
    freed = time.monotonic() - began
    thread.join(5)
    halt.set()
    prober.join()
    assert worst[0] < 0.5
    assert freed < SOON_S + worst[0], "what the machine keeps everybody waiting is not the app's"
    assert visitor.told("message")["submit_btn"] is True


def test_in_the_queue_it_leaves_the_queue(slow: Space) -> None:
    slow.api.answers.append(("queue", 100, "succeeded"))
    visitor = slow.visitor()
    thread = visitor.started("message", "submit", message="Hello")
    wait_for(lambda: slow.api.seen("/schedule"))
    time.sleep(0.5)
    stopped(slow, visitor, thread, lambda: slow.api.abandoned)
    assert visitor.shows("message") == "Hello"
    assert not slow.api.seen("/allow")


def test_while_a_worker_starts_it_ends(slow: Space) -> None:
    visitor = slow.visitor()
    thread = visitor.started("message", "submit", message="Hello")
    wait_for(lambda: slow.api.seen("/allow"))
    stopped(slow, visitor, thread, lambda: slow.api.seen("/release"))
    assert not slow.api.busy()


def test_in_a_load_the_load_ends(slow: Space) -> None:
    visitor = slow.visitor()
    thread = visitor.started("message", "submit", message="Hello")
    wait_for(lambda: "LOADING" in slow.printed, 20)
    stopped(slow, visitor, thread, lambda: slow.api.seen("/release"))
    time.sleep(0.5)
    said = slow.printed.count("LOADING")
    time.sleep(0.5)
    assert slow.printed.count("LOADING") == said, "it goes on after the GPU was given back"


def test_in_a_prefill_and_in_a_decode(slow: Space) -> None:
    visitor = slow.visitor()
    visitor.pressed("message", "submit", message="Hello", max_new_tokens=4)
    assert slow.api.settled()  # or the stopped ones would get new workers
    released = len(slow.api.seen("/release"))
    thread = visitor.started("message", "submit", message=LONG, max_new_tokens=2000)
    wait_for(lambda: "PREFILL" in slow.printed)
    stopped(slow, visitor, thread, lambda: len(slow.api.seen("/release")) > released)
    assert slow.api.settled()
    thread = visitor.started("message", "submit", message="Hello again", max_new_tokens=2000)
    wait_for(lambda: len(visitor.shows("chatbot")) > 4)  # the first answer with its figures, the question, some text
    stopped(slow, visitor, thread, lambda: len(slow.api.seen("/release")) > released + 1)
    assert all(released["fail"] == "false" for released in slow.api.seen("/release"))
