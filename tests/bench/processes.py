"""The processes that are measured: the served app, the ten-line app, and the bare libraries."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gradio_client import Client

from models.domain.catalog import load_catalog
from models.domain.settings import Settings
from models.engines.llama.engine import BATCH
from models.engines.transformers.from_gguf import convert_in_subprocess
from models.weights import sources

from .client import Answer, connect, greedy

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SMOLLM2 = "smollm2-135m-instruct"
GEMMA = "gemma-3-270m"  # a base model
LONGEST_START_S = 120


@dataclass(frozen=True)
class Served:
    """A web app in a process of its own; `page_s` is from the start of the process to the first answer of /config."""

    url: str
    process: subprocess.Popen[bytes]
    started: float
    page_s: float


@contextmanager
def served(*command: str) -> Iterator[Served]:
    """Run a Gradio app on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "PADDOCK_PRELOAD": "1"}
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            while not _is_up(url):
                if process.poll() is not None or time.perf_counter() - started > LONGEST_START_S:
                    log.seek(0)
                    raise RuntimeError(f"{command[0]} did not start:\n{log.read().decode(errors='replace')}")
                time.sleep(0.02)
            yield Served(url, process, started, time.perf_counter() - started)
        finally:
            _end(process)


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/config", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Bare:
    """A library alone, asked over pipes."""

    def __init__(self, kind: str, path: str, settings: Settings, context: int) -> None:
        numbers = (str(settings.compute_threads), str(BATCH), str(context))
        command = [sys.executable, str(HERE / "bare.py"), kind, path, *numbers]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, prompt: str, new_tokens: int) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"prompt": prompt, "new_tokens": new_tokens}) + "\n")
        self.process.stdin.flush()
        line = next((line for line in self.process.stdout if line.startswith("{")), None)
        if line is None:
            raise RuntimeError(f"bare.py ended with status {self.process.wait()}")
        return Answer(**json.loads(line))


class Stage:
    """Weights and processes of one run, each made when first used and ended with the stage."""

    def __init__(self, new_tokens: int) -> None:
        self.settings = Settings.from_env()
        self.new_tokens = new_tokens  # of the ten-line app, which has no setting for it
        self._stack = ExitStack()
        self._processes: list[subprocess.Popen[Any]] = []
        self._bare: dict[tuple[str, str], Bare] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def only(self, process: subprocess.Popen[Any]) -> Iterator[None]:
        """Hold all other processes of the stage still: a Gradio app takes a twentieth of a core while it idles."""
        others = [each for each in self._processes if each is not process]
        for each in others:
            each.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for each in others:
                each.send_signal(signal.SIGCONT)

    def gguf(self, model: str) -> str:
        """The GGUF file that the app uses for a model, fetched if need be."""
        return self._resolve(model, "gguf").path

    @cached_property
    def snapshot(self) -> str:
        """SmolLM2 as safetensors, from the folder that the app itself loads."""
        source = self._resolve(SMOLLM2, "safetensors")
        if source.form == "safetensors":
            return source.path
        folder = self.settings.cache / "converted" / f"{SMOLLM2}-{Path(source.path).stem}"
        convert_in_subprocess(Path(source.path), folder, lambda _: None, lambda: False)
        return str(folder)

    def _resolve(self, model: str, form: Any) -> Any:
        return sources.resolve(load_catalog()[model], form, self.settings, lambda _: None, lambda: False)

    @cached_property
    def app(self) -> Served:
        return self._serve("app.py")

    @cached_property
    def client(self) -> Client:
        """A client of the app, which has its default variant in memory by then."""
        client = connect(self.app.url)
        greedy(client, "Hello", SMOLLM2, 4)
        return client

    @cached_property
    def ten_line_app(self) -> Served:
        return self._serve(str(HERE / "ten_line_app.py"), self.snapshot, str(self.new_tokens))

    @cached_property
    def ten_line_client(self) -> Client:
        return connect(self.ten_line_app.url)

    def _serve(self, *command: str) -> Served:
        app = self._stack.enter_context(served(*command))
        self._processes.append(app.process)
        return app

    def bare(self, kind: str, model: str) -> Bare:
        if (kind, model) not in self._bare:
            path = self.gguf(model) if kind == "gguf" else self.snapshot
            context = min(load_catalog()[model].context, self.settings.context)
            bare = self._bare[kind, model] = Bare(kind, path, self.settings, context)
            self._stack.callback(_end, bare.process)
            self._processes.append(bare.process)
        return self._bare[kind, model]
