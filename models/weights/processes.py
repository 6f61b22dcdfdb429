"""A child process that fetches something: watched, stopped at once when the visitor leaves, never left behind."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ..domain.errors import DownloadFailed

TICK_S = 0.1
GRACE_S = 3.0  # to clean up after being asked to stop
LAST_LINES = 60


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status and the last lines that it wrote."""

    status: int
    output: str


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    tick: Callable[[], float],
    on_line: Callable[[str], None] = lambda line: None,
    request: str = "",
    what: str = "",
    stall_s: float = 60.0,
) -> Ended:
    """Run a child to its end; it gets `request` as its first line of input, and an end of input means stop.

    `tick` is called ten times a second and returns a number that changes while there is progress; what it raises
    ends the child. Raises DownloadFailed after `stall_s` seconds without a line and without progress.
    """
    child = subprocess.Popen(
        list(command),
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    assert child.stdin
    assert child.stdout
    assert child.stderr
    lines: queue.Queue[str | None] = queue.Queue()
    last: deque[str] = deque(maxlen=LAST_LINES)
    readers = [_reader(child.stdout, lines.put, last), _reader(child.stderr, None, last)]
    try:
        _write(child.stdin, request)
        _watch(child, lines, tick, on_line, what, stall_s)
    finally:
        _stop(child)
        for reader in readers:
            reader.join(GRACE_S)
        for stream in (child.stdin, child.stdout, child.stderr):
            with suppress(OSError):
                stream.close()
    return Ended(child.returncode, "".join(last))


def _watch(
    child: subprocess.Popen[str],
    lines: queue.Queue[str | None],
    tick: Callable[[], float],
    on_line: Callable[[str], None],
    what: str,
    stall_s: float,
) -> None:
    moved, before = time.monotonic(), -1.0
    while True:
        try:
            line = lines.get(timeout=TICK_S)
            if line is None:
                break
            on_line(line)
            moved = time.monotonic()
        except queue.Empty:
            pass
        now = tick()
        if now != before:
            moved, before = time.monotonic(), now
        if time.monotonic() - moved > stall_s:
            raise DownloadFailed(what=what, reason=f"nothing arrived for {stall_s:.0f} seconds")
    child.wait(GRACE_S)


def _reader(stream: IO[str], each: Callable[[str | None], None] | None, last: deque[str]) -> threading.Thread:
    def read() -> None:
        for line in stream:
            if each:
                each(line)
            last.append(line)
        if each:
            each(None)  # the end

    thread = threading.Thread(target=read, name="child-output", daemon=True)
    thread.start()
    return thread


def _write(stream: IO[str], request: str) -> None:
    try:
        stream.write(request + "\n")
        stream.flush()
    except BrokenPipeError:
        return  # it has ended already; its exit status says why


def _stop(child: subprocess.Popen[str]) -> None:
    if child.poll() is None and child.stdin:
        with suppress(OSError):
            child.stdin.close()
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
