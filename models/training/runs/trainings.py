"""The trainings of a server, each a folder in its cache: begun, followed, stopped, gone on with, removed."""

from __future__ import annotations

import os
import re
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...domain.data_sets import data_sets
from ...domain.errors import NoTraining, PaddockError, TrainingBusy, TrainingSettingOutOfBounds
from ...domain.settings import Settings
from ...system.files import read_json, write_json
from ...weights import own_folder
from ...weights.adapters.places import REPORT
from ..rows_file import copied
from . import process
from .asked import CHECKPOINTS, FINISH, Asked, check_name, read_asked
from .events import Followed, Seen

Status = Literal["running", "stopped", "interrupted", "failed", "finished"]
REQUEST, EVENTS, ERRORS, STOPPED = "request.json", "events.jsonl", "errors.txt", "stopped"
ACTS = ("stop", "finish", "go-on", "remove")
LAST_BYTES = 20_000  # of what a process printed on standard error
_OURS = re.compile(r"paddock: (.+)")


@dataclass(frozen=True)
class Training:
    """One of them as of now; `error` is why it failed, in the command's own sentence; `begun` in seconds since 1970."""

    asked: Asked
    status: Status
    seen: Seen
    begun: float
    error: str = ""
    resumable: bool = False  # there is a checkpoint to go on from
    finishing: bool = False


class Trainings:
    """All of one server; any number of processes may look at the same folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.root = settings.cache / "training"
        self._followed: dict[str, Followed] = {}
        self._turn = threading.Lock()

    def out(self, name: str) -> Path:
        """The folder of its adapter."""
        return self.settings.adapters_folder / name

    def all(self) -> list[Training]:
        """The newest first."""
        with self._turn:
            now = process.running(self.root)
            names = [path.parent.name for path in self.root.glob(f"*/{REQUEST}")]
            found = [self._read(name, now) for name in names]
        return sorted(filter(None, found), key=lambda each: -each.begun)

    def one(self, name: str) -> Training:
        """The one of that name; raises NoTraining."""
        found = next((each for each in self.all() if each.asked.name == name), None)
        if found is None:
            raise NoTraining(name=name[:80])
        return found

    def begin(self, asked: Asked) -> None:
        """Start it, with a copy of its data; raises AdapterNameTaken, TrainingBusy, BadTrainingData and others."""
        check_name(asked.name, self.settings)
        with self._turn:
            self._require_free()
            own_folder.require(self.settings)
            folder = self.root / asked.name
            for left in (folder, self.out(asked.name)):  # by one that failed before its first checkpoint
                shutil.rmtree(left, ignore_errors=True)
            try:
                folder.mkdir(parents=True)
                kept = asked  # an open data set is named, and kept by the command
                if asked.data not in data_sets():  # a file stays as it is, however long the training takes
                    kept = replace(asked, data=str(copied(Path(asked.data).expanduser(), folder / "data")))
                write_json(folder / REQUEST, kept.to_dict())
                self._start(kept)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

    def go_on(self, name: str) -> None:
        """Run the same command again, which goes on after its last checkpoint; raises NoTraining, TrainingBusy."""
        found = self.one(name)
        with self._turn:
            self._require_free()
            self._start(found.asked)

    def stop(self, name: str) -> None:
        """End it, and keep its checkpoint; one that has ended stays as it is."""
        now = process.running(self.root)
        if now and now.name == name:
            (self.root / name / STOPPED).touch()
            process.interrupt(now)

    def finish(self, name: str) -> None:
        """Have it end after this step, with what it has learned; raises NoTraining."""
        folder = self.out(self.one(name).asked.name) / CHECKPOINTS
        if folder.is_dir():
            (folder / FINISH).touch()

    def act(self, act: str, name: str) -> None:
        """One of ACTS; raises TrainingSettingOutOfBounds, and what that one does."""
        if act not in ACTS:
            raise TrainingSettingOutOfBounds(name="act", value=act[:60], wanted=f"one of {', '.join(ACTS)}")
        self.one(name)
        {"stop": self.stop, "finish": self.finish, "go-on": self.go_on, "remove": self.remove}[act](name)

    def remove(self, name: str) -> None:
        """Forget it and its checkpoints; an adapter that is whole stays. Raises NoTraining, TrainingBusy."""
        found = self.one(name)
        if found.status == "running":
            raise TrainingBusy(name=name)
        with self._turn:
            shutil.rmtree(self.root / name, ignore_errors=True)
            self._followed.pop(name, None)
            if found.status != "finished":
                shutil.rmtree(self.out(name) / CHECKPOINTS, ignore_errors=True)
                if self.out(name).is_dir() and not any(self.out(name).iterdir()):
                    self.out(name).rmdir()

    def _require_free(self) -> None:
        if now := process.running(self.root):
            raise TrainingBusy(name=now.name)

    def _start(self, asked: Asked) -> None:
        for mark in (self.root / asked.name / STOPPED, self.out(asked.name) / CHECKPOINTS / FINISH):
            mark.unlink(missing_ok=True)
        with (self.root / asked.name / EVENTS).open("a", encoding="utf-8") as events:
            events.write('\n{"event": "begun"}\n')  # after what a killed process may have left of a line
        process.start(self.root, asked.name, asked.command(self.out(asked.name)), self.settings)

    def _read(self, name: str, now: process.Running | None) -> Training | None:
        folder, alive = self.root / name, now is not None and now.name == name
        try:
            asked = read_asked(read_json(folder / REQUEST))
            begun = (folder / REQUEST).stat().st_mtime
        except (KeyError, TypeError, OSError, PaddockError):  # of an older version, or half removed
            return None
        seen = self._followed.setdefault(name, Followed(folder / EVENTS)).read()
        if not alive and not seen.report:  # one that was killed after all was in its place
            seen = replace(seen, report=read_json(self.out(name) / REPORT))
        error = "" if alive or seen.report else _error(folder / ERRORS)
        status: Status = "interrupted"
        if alive:
            status = "running"
        elif seen.report:
            status = "finished"
        elif (folder / STOPPED).exists():
            status, error = "stopped", ""
        elif error:
            status = "failed"
        checkpoints = self.out(name) / CHECKPOINTS
        resumable = any(checkpoints.glob("checkpoint-*"))
        return Training(asked, status, seen, begun, error, resumable, alive and (checkpoints / FINISH).exists())


def _error(file: Path) -> str:
    """The command's own sentence for why it ended; empty where it left none."""
    try:
        with file.open("rb") as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - LAST_BYTES))
            text = errors.read().decode("utf-8", "replace")
    except OSError:
        return ""
    if found := _OURS.search(text):
        return found[1]
    return text.strip().splitlines()[-1][:300] if "Traceback (most recent" in text else ""  # a fault of ours
