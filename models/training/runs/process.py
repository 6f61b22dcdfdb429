"""The one training of this machine, known by a lock that its process itself holds, whoever has started it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...domain.errors import TrainingBusy
from ...domain.settings import Settings
from ...system.processes import ROOT, SECRETS

LOCK = ".lock"  # which is no name of a training
NICE = 10  # beside it, whoever chats gets nine tenths of a core that both want
TRIES, PAUSE_S = 5, 0.02  # whoever only looks has the lock for an instant
# What a training is told of the settings of the app: where things lie, and how it computes.
PASSED_ON = (
    *("cache_dir", "disk_gb", "models_dir", "model_folders", "adapters_dir", "adapter_mb", "hub_ids"),
    *("hub_timeout_s", "context", "threads", "memory_fraction", "load_anyway"),
)
OPERATORS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # who trains is the operator, as at the command line


@dataclass(frozen=True)
class Running:
    """The training that has the lock."""

    name: str
    pid: int


def running(root: Path) -> Running | None:
    """The training whose process lives, of those below `root`."""
    try:
        handle = os.open(root / LOCK, os.O_RDWR)
    except OSError:
        return None
    try:
        if _taken(handle, shared=True):
            return None
        found = json.loads(os.read(handle, 4096) or b"{}")
        return Running(str(found["name"]), int(found["pid"]))
    except (ValueError, KeyError, TypeError):  # it is being written
        return Running("", 0)
    finally:
        os.close(handle)


def start(root: Path, name: str, command: Sequence[str], settings: Settings) -> None:
    """Run `python COMMAND` in a session of its own; its lines go to files in root/NAME. Raises TrainingBusy."""
    folder = root / name
    handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _taken_soon(handle):
            busy = running(root)
            raise TrainingBusy(name=busy.name if busy else name)
        os.ftruncate(handle, 0)  # else the last one would seem to run
        with (folder / "events.jsonl").open("ab") as events, (folder / "errors.txt").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "models.training.runs.begin", str(NICE), *command],
                cwd=ROOT,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=events,
                stderr=errors,
                start_new_session=True,
                pass_fds=(handle,),
            )
        os.pwrite(handle, json.dumps({"name": name, "pid": process.pid}).encode(), 0)
    finally:
        os.close(handle)  # the process has it, too, and the lock with it
    threading.Thread(target=process.wait, name="training", daemon=True).start()  # or it would stay as a zombie


def interrupt(found: Running) -> None:
    """Have it end as Ctrl+C does: it keeps its last checkpoint."""
    if found.pid:
        with suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGINT)


def environment(settings: Settings, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """This process's environment with the settings that the app really has, and no secret but the operator's token."""
    hidden = {name for name in SECRETS if name not in OPERATORS}
    told = {name: value for name, value in env.items() if name not in hidden and not name.startswith("PADDOCK_")}
    for name in PASSED_ON:
        if spelled := _spelled(getattr(settings, name)):
            told[f"PADDOCK_{name.upper()}"] = spelled
    return told


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return ",".join(value) if isinstance(value, tuple) else str(value) if value else ""


def _taken_soon(handle: int) -> bool:
    for _ in range(TRIES):
        if _taken(handle):
            return True
        time.sleep(PAUSE_S)
    return False


def _taken(handle: int, shared: bool = False) -> bool:
    """Whether the lock could be had."""
    locks: Any = importlib.import_module("fcntl")  # of Linux and macOS
    try:
        locks.flock(handle, (locks.LOCK_SH if shared else locks.LOCK_EX) | locks.LOCK_NB)
    except OSError:
        return False
    return True
