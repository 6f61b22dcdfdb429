"""Our end of a llama.cpp process: requests in, chunks out, and its end.

One process a model, because all llama.cpp models of one process share one OpenMP runtime: with two loaded, its
workers outnumber two cores, it stops spinning at barriers, and both decode at half their speed or less. It also gives
all of the memory back when it ends, and takes nothing along when a file makes the library crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...domain.errors import CannotLoad, EngineFailed, OutOfMemory, PaddockError, from_dict
from ...domain.secrets import without_secrets
from ..faults import without_paths

ROOT = Path(__file__).resolve().parents[3]
CLOSE_S = 5.0
_KILLED = (-9, 137)  # by the kernel, when memory runs out
LONGEST_COMPLAINT = 20_000  # bytes of what the library printed that are looked at
# Its lines of errors: time, level, perhaps a part of the program, the function, and what is wrong.
_COMPLAINT = re.compile(r"^[\d.]+ E (?:\w+ +)?\w+: +(.+)$", re.MULTILINE)
_WHERE = re.compile(r"^(?:error loading model(?: \w+)?: |check_tensor_dims: )+")
_ASSERTED = re.compile(r"GGML_ASSERT\(.+\) failed")
_SAYS_NOTHING = ("failed to load model", "exiting due to", "error loading model: found tensors with invalid data")
Line = dict[str, Any]


class LlamaProcess:
    """A loaded GGUF model in a process of its own; `facts` is what it says of the model.

    Raises OutOfMemory or CannotLoad when it cannot be loaded.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._file = Path(options["path"]).name
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "models.engines.llama.child"],
            cwd=ROOT,
            env=without_secrets(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            encoding="utf-8",
            bufsize=1,
        )
        self._turn = threading.Lock()  # for the lines in, and for who waits for which lines out
        self._waiting: dict[int, queue.SimpleQueue[Line | None]] = {}
        self._last_number = 0
        self._ended = False
        self._send(options)
        self.facts = self._first_line()
        threading.Thread(target=self._read, daemon=True, name="paddock-llama").start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def handle_completions(self, request: dict[str, Any], on_chunk: Callable[[Line], bool]) -> None:
        """Compute a request and hand on its chunks, until the end or until `on_chunk` returns True; blocks."""
        lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        with self._turn:
            if self._ended:
                raise self._reason("while answering")
            self._last_number += 1
            number = self._last_number
            self._waiting[number] = lines
        stopped = False
        try:
            self._send({"number": number, "request": request})
            while True:
                if (line := lines.get()) is None:
                    raise self._reason("while answering")
                if "failure" in line:
                    raise from_dict(line["failure"])
                if line["chunk"] is None:
                    return
                if not stopped and on_chunk(line["chunk"]):
                    stopped = True
                    self._send({"stop": number})
        finally:
            with self._turn:
                self._waiting.pop(number, None)

    def close(self) -> None:
        """End the process; what it computes is dropped."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: Line) -> None:
        assert self._process.stdin is not None
        try:
            with self._turn:
                self._process.stdin.write(json.dumps(message) + "\n")
                self._process.stdin.flush()
        except (OSError, ValueError):  # it ended; whoever reads is told why
            pass

    def _first_line(self) -> Line:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        facts: Line = json.loads(line) if line else {}
        if facts and "failure" not in facts:
            return facts
        self.close()
        error = from_dict(facts["failure"]) if facts else self._reason("while loading the model")
        if isinstance(error, OutOfMemory):
            raise error
        raise CannotLoad(file=self._file, reason=self._complaint() or str(error.facts.get("detail", error.message)))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            with self._turn:
                waiting = self._waiting.get(line["number"])
            if waiting is not None:
                waiting.put(line)
        with self._turn:
            self._ended = True
            for waiting in self._waiting.values():
                waiting.put(None)

    def _reason(self, during: str) -> PaddockError:
        try:
            status = self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            status = 0
        if status in _KILLED:
            return OutOfMemory(during=during)
        complaint = self._complaint()
        return EngineFailed(detail=complaint or f"llama.cpp ended {during}, with status {status}")

    def _complaint(self) -> str:
        """The library's own words on what is wrong; empty when it said nothing of use."""
        size = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, size - LONGEST_COMPLAINT))
        return complaint(self._complaints.read().decode("utf-8", "replace"))


def complaint(printed: str) -> str:
    """The reason among the lines that llama.cpp printed: the first that says what is wrong, without local paths.

    Where there is none, what it asserted before it ended itself.
    """
    for words in _COMPLAINT.findall(printed):
        if not any(words.startswith(empty) for empty in _SAYS_NOTHING):
            reason = without_paths(_WHERE.sub("", words)).strip().rstrip(".")
            return reason.replace("has invalid data", "holds NaN or infinity")[:300]
    asserted = _ASSERTED.search(printed)
    return asserted[0][:300] if asserted else ""
