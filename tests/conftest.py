"""What tests share: one cache of weights for the run, one Runtime, one served app, one browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.system.proxies import exempt_loopback

exempt_loopback()  # before any client is made
ROOT = Path(__file__).parents[1]
SMOLLM2 = "smollm2-135m-instruct"
GEMMA = "gemma-3-270m"  # a base model


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ServedApp:
    """The real app in a process of its own; `log` is what it printed."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def served(folder: Path, script: str = "app.py", **env: str) -> Iterator[ServedApp]:
    """`python app.py`, or another script, on a free port, from when its page is up; ended afterwards."""
    port, log = free_port(), folder / "app.log"
    environment = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "PYTHONUNBUFFERED": "1",
        **env,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, script], cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    app = ServedApp(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_for(app)
        yield app
        process.terminate()
        process.wait(20)
    finally:
        process.kill()


def _wait_for(app: ServedApp) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{app.url}/config", timeout=5).read()
            return
        except OSError:
            if app.process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(app.log.read_text())


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """The app as a visitor meets it, shared by the run; a test that changes it starts its own with `served`."""
    yield from served(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="session")
def runtime() -> Any:
    """A Runtime in this process, with the run's shared weights."""
    from models.domain.settings import Settings
    from models.runtime import Runtime

    return Runtime(Settings.from_env(os.environ | {"PADDOCK_PRELOAD": "0"}))


@pytest.fixture(scope="module")  # not the whole session: Playwright keeps an event loop running while it is open
def browser() -> Iterator[Any]:
    """A headless Chromium: the system's where there is one, else Playwright's own.

    Its headless shell first, as Playwright takes it by itself: without the browser's own interface, a page costs 0.7 of
    the CPU time.
    """
    from playwright.sync_api import sync_playwright

    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=[*quiet, "--disable-component-update", "--disable-sync"]
        )
        yield chromium
        chromium.close()
