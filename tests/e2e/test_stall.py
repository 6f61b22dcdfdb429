"""However one visitor leaves a slow computation, no other visitor's page may wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from tests.conftest import ServedApp, free_port

WORST_S = 0.5


@pytest.fixture(scope="module")
def slow_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    folder = tmp_path_factory.mktemp("slow")
    port, log = free_port(), folder / "app.log"
    env = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "PADDOCK_PRELOAD": "0",
    }
    with log.open("wb") as out:
        script = str(Path(__file__).with_name("slow_app.py"))
        process = subprocess.Popen([sys.executable, script], env=env, stdout=out, stderr=subprocess.STDOUT)
    served = ServedApp(f"http://127.0.0.1:{port}", process, log)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{served.url}/config", timeout=5).read()
            break
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    yield served
    process.terminate()
    process.wait(20)


class Probe:
    """Another visitor, who asks for the page's style sheet all the time; keeps the longest wait."""

    def __init__(self, url: str) -> None:
        self.worst, self.count = 0.0, 0
        self._url, self._over = f"{url}/theme.css", threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.is_set():
                started = time.perf_counter()
                client.get(self._url).raise_for_status()
                self.worst, self.count = max(self.worst, time.perf_counter() - started), self.count + 1
                time.sleep(0.02)


def wait_for(log: Path, word: str, times: int, seconds: float = 20) -> None:
    """Until the slow model has said a word that often."""
    end = time.monotonic() + seconds
    while log.read_text().split("\n").count(word) < times:
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(0.02)


def leave_by_cancel(app: ServedApp, begun: Callable[[], None]) -> None:
    client = Client(app.url, verbose=False, analytics_enabled=False)
    job = client.submit("Say hi.", api_name="/chat")
    begun()
    job.cancel()
    client.close()


def leave_by_dropping_the_connection(app: ServedApp, begun: Callable[[], None]) -> None:
    api = f"{app.url}/gradio_api"
    session = {"session_hash": "gone"}
    endpoint = next(
        number
        for number, dependency in enumerate(httpx.get(f"{app.url}/config").json()["dependencies"])
        if dependency["api_name"] == "chat"
    )
    asked, *others = httpx.get(f"{api}/info").json()["named_endpoints"]["/chat"]["parameters"]
    assert asked["parameter_name"] == "message"
    arguments = ["Say hi.", *(parameter["parameter_default"] for parameter in others)]
    httpx.post(f"{api}/queue/join", json={"data": arguments, "fn_index": endpoint, **session}).raise_for_status()
    with httpx.stream("GET", f"{api}/queue/data", params=session, timeout=30) as events:
        lines = events.iter_lines()
        next(lines)
        begun()


@pytest.mark.parametrize(
    "leave", [leave_by_cancel, pytest.param(leave_by_dropping_the_connection, marks=pytest.mark.slow)]
)
def test_who_leaves_a_slow_computation_stalls_nobody(
    slow_app: ServedApp, leave: Callable[[ServedApp, Callable[[], None]], None]
) -> None:
    log = slow_app.log
    begun, ended = (log.read_text().split("\n").count(word) for word in ("computing", "closed"))

    def until_computing() -> None:
        wait_for(log, "computing", begun + 1)
        time.sleep(0.3)  # well inside a step

    with Probe(slow_app.url) as probe:
        leave(slow_app, until_computing)
        wait_for(log, "closed", ended + 1)  # and the computation ends, at its next step
        time.sleep(0.3)
    assert probe.count > 20
    assert probe.worst < WORST_S, f"{probe.worst:.2f} s"
    assert "Traceback" not in log.read_text()
