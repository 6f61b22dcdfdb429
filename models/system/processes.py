"""A Python process beside this one: JSON lines in and out, no secrets, and never left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TICK_S = 0.1
GRACE_S = 5.0
KILLED = (-9, 137)  # the exit status of a process that the kernel ended when memory ran out
LAST_BYTES = 20_000  # of what a process printed on standard error
SECRETS = (
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_SECRET", "PADDOCK_API_KEYS", "PADDOCK_OPERATOR_KEY"),
    "PADDOCK_LINK_KEY",
    "HF_DEBUG",  # prints requests
)
Line = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit status, and the last of what it printed on standard error."""

    status: int
    output: str

    @property
    def last_line(self) -> str:
        return next((line.strip() for line in reversed(self.output.splitlines()) if line.strip()), "")


class Child:
    """`python ARGUMENTS`, run from the repository root; as a context it is killed when the caller leaves.

    `each` gets every line, in a thread of its own, and None at the end; without it they wait for `watch`. What is
    no JSON object is dropped. `env` replaces this process's environment, of which secrets are never passed on.
    """

    def __init__(
        self, *arguments: str, env: Mapping[str, str] | None = None, each: Callable[[Line | None], None] | None = None
    ) -> None:
        self._lines: SimpleQueue[Line | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=without_secrets() if env is None else dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            errors="replace",
        )
        self.pid = self._process.pid
        threading.Thread(target=self._read, args=(each or self._lines.put,), name="child-output", daemon=True).start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, message: Any) -> None:
        """One line in; a process that has ended does not mind, and its exit status says why."""
        assert self._process.stdin
        with self._turn, suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def watch(self, tick: Callable[[], None]) -> Iterator[Line]:
        """The lines out, to the last; `tick` is called ten times a second, and may raise."""
        while True:
            tick()
            with suppress(Empty):
                line = self._lines.get(timeout=TICK_S)
                if line is None:
                    return
                yield line

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self.end()

    def end(self) -> Ended:
        """Close its input and wait for it to end; it is killed when that takes more than five seconds."""
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - LAST_BYTES))
        return Ended(self._process.returncode, self._errors.read().decode("utf-8", "replace"))

    def _read(self, each: Callable[[Line | None], None]) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                with suppress(ValueError, RecursionError):
                    if isinstance(message := json.loads(line), dict):
                        each(message)
        each(None)


def without_secrets(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a child process, without tokens and what would print them."""
    return {name: value for name, value in env.items() if name not in SECRETS}
