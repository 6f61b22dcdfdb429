"""The same command in several processes on this machine: started, watched, and ended together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from .processes import GRACE_S, KILLED, LAST_BYTES, ROOT, TICK_S
from .ranks import Place, share_of_cores

PARENT = "PADDOCK_STARTED_BY"  # the process that a started one does not outlive
WATCH_S = 0.5
STOP_S = 60.0  # that the first process has to leave off in order, once it is asked to


@dataclass(frozen=True)
class _Started:
    process: subprocess.Popen[bytes]
    errors: IO[bytes] | None  # what it prints; None for the first, whose output is that of the command


def launch(processes: int, command: Sequence[str]) -> int:
    """Run `python COMMAND` so many times on this machine and return the exit status; nothing is left running.

    Input, output and errors are those of the first process. When one ends, the others end too. An interrupt is passed
    on to the first, which has a minute to leave off in order; a second interrupt ends all at once.
    """
    started: list[_Started] = []
    with _terminated_as_interrupted():
        try:
            port = free_port()
            for rank in range(processes):
                started.append(_start(Place(rank, processes, rank, processes, "127.0.0.1", port), command))
            return _watched(started)
        except KeyboardInterrupt:
            _leave_off(started[:1])
            return 130
        finally:
            _end(started)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_parent() -> None:
    """In a process that `launch` started: end as soon as the one that started it has."""
    parent = os.environ.pop(PARENT, "")
    if not parent.isdecimal() or not hasattr(os, "getppid"):
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="paddock-parent").start()


def end_forks_too() -> None:
    """Let SIGTERM end the processes that were forked from this one before it ends it, whatever they are doing."""
    if threading.current_thread() is not threading.main_thread():
        return
    here = os.getpid()

    def end(number: int, frame: Any) -> None:
        if os.getpid() == here:
            for fork in multiprocessing.active_children():
                fork.kill()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)


def _start(place: Place, command: Sequence[str]) -> _Started:
    env = os.environ | place.variables() | {PARENT: str(os.getpid())}
    env.setdefault("PADDOCK_THREADS", str(share_of_cores(place.size)))
    env.setdefault("PADDOCK_JOIN_S", "60")  # one that ends before the others came is seen here
    env.setdefault("OMP_NUM_THREADS", env["PADDOCK_THREADS"])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), env.get("PYTHONPATH", ""))))  # from any folder
    errors = None if place.leads else tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": errors}
    # In sessions of their own: an interrupt at the terminal is ours to pass on.
    process = subprocess.Popen(
        [sys.executable, *command], env=env, start_new_session=True, **({} if place.leads else quiet)
    )
    return _Started(process, errors)


def _watched(started: Sequence[_Started]) -> int:
    """Wait until the first process has ended, or another badly; the exit status of them all."""
    while True:
        ended = [one.process.poll() for one in started]
        if ended[0] is not None:
            status = ended[0]
            if status and any(other in KILLED for other in ended[1:]):
                _say(started, ended)  # the first has only felt that the other is gone
            elif status < 0:
                _say(started, ended)
            return status if status >= 0 else 128 - status
        if any(ended):
            with suppress(subprocess.TimeoutExpired):  # the first will feel it, and can say what is kept
                started[0].process.wait(GRACE_S)
            _say(started, ended)
            return 1
        time.sleep(TICK_S)


def _say(started: Sequence[_Started], ended: Sequence[int | None]) -> None:
    """Which process ended, and how, on standard error."""
    rank = next(rank for rank, status in enumerate(ended) if status)
    status, of = ended[rank] or 0, f"Process {rank + 1} of {len(started)}"
    if status in KILLED:
        how = "was killed, as happens when memory runs out"
    elif status < 0:
        how = f"was ended by {signal.Signals(-status).name}"
    else:
        how = f"ended: {_last_line(started[rank]) or f'exit status {status}'}"
    print(f"paddock: {of} {how}; the others were ended with it.", file=sys.stderr, flush=True)


def _last_line(one: _Started) -> str:
    if one.errors is None:
        return ""
    one.errors.seek(max(0, one.errors.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = one.errors.read().decode("utf-8", "replace").splitlines()
    return next((line.strip().removeprefix("paddock: ").rstrip(".") for line in reversed(lines) if line.strip()), "")


def _leave_off(started: Sequence[_Started]) -> None:
    for one in started:
        with suppress(OSError):
            one.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            one.process.wait(STOP_S)


def _end(started: Sequence[_Started]) -> None:
    """The others end by themselves once the first has; whoever takes longer is killed."""
    until = time.monotonic() + GRACE_S
    for one in started:
        if started[0].process.poll() is not None:
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                one.process.wait(max(0.0, until - time.monotonic()))
        with suppress(OSError):
            one.process.kill()
        one.process.wait()
        if one.errors is not None:
            one.errors.close()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the processes too, as an interrupt does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
