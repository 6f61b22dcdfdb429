"""What a training has told in its lines of JSON, gathered: its curves, where it is, what it takes, how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...domain.messages import Progress
from ...domain.training_events import Step

LONGEST_READ = 4 * 2**20  # bytes of lines that are read at once


@dataclass(frozen=True)
class Loss:
    """A loss in nats a token, after so many steps and tokens."""

    step: int
    tokens: int
    value: float


@dataclass
class Seen:
    """All that was told until now; `learning` has a loss a step, `held_out` one a look."""

    learning: list[Loss] = field(default_factory=list)
    held_out: list[Loss] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)  # as RowCounts
    memory: dict[str, int] = field(default_factory=dict)  # bytes by part, and needed and free
    samples: dict[str, dict[int, str]] = field(default_factory=dict)  # how it went on with an opening, by the step
    prompts: list[str] = field(default_factory=list)  # of rows that are held out
    said: list[str] = field(default_factory=list)  # warnings
    step: Step | None = None  # the last one of the process that runs
    progress: Progress | None = None  # what it does now, if that is no step
    report: dict[str, Any] = field(default_factory=dict)  # of a training that has ended well


def note(seen: Seen, line: Mapping[str, Any]) -> None:
    """Take in one line. A run that went on repeats steps after its checkpoint: what it says now counts."""
    match line.get("event"):
        case "begun":  # ours: another process, which first loads what it needs
            seen.step = seen.progress = None
        case "step":
            step = _filled(Step, line)
            _cut(seen.learning, step.done)
            seen.learning.append(Loss(int(step.done), step.tokens, step.loss))
            seen.step, seen.progress = step, None
        case "progress":
            seen.progress = _filled(Progress, line)
        case "said" if "memory" in line:
            seen.memory = dict(line["memory"])
        case "said" if line.get("stage") == "read":
            seen.rows = {name: line[name] for name in ("train", "held_out", "cut", "left_out") if name in line}
            seen.prompts = [str(prompt) for prompt in line.get("prompts") or ()]
        case "said" if "held_out" in line and "tokens" in line:
            look = Loss(int(line["step"]), int(line["tokens"]), float(line["held_out"]))
            _cut(seen.held_out, look.step)
            seen.held_out.append(look)
        case "said" if "sample" in line:
            seen.samples.setdefault(str(line["asked"]), {})[int(line["step"])] = str(line["sample"])
        case "said" if line.get("stage") == "train":
            seen.said = [*seen.said[-4:], str(line.get("text", ""))]
        case "done":
            seen.report = dict(line)


def _cut(losses: list[Loss], step: float) -> None:
    while losses and losses[-1].step >= step:
        losses.pop()


def _filled(kind: type[Any], line: Mapping[str, Any]) -> Any:
    return kind(**{f.name: line[f.name] for f in fields(kind) if f.name in line})


class Followed:
    """A file of such lines, of which only what is new is read."""

    def __init__(self, file: Path) -> None:
        self._file, self._at = file, 0
        self.seen = Seen()

    def read(self) -> Seen:
        """What it tells by now; a line that is not whole yet waits."""
        try:
            with self._file.open("rb") as lines:
                if lines.seek(0, 2) < self._at:
                    self._at, self.seen = 0, Seen()
                while True:
                    lines.seek(self._at)
                    new, end, _ = lines.read(LONGEST_READ).rpartition(b"\n")
                    if not end:
                        return self.seen
                    self._at += len(new) + 1
                    for line in new.split(b"\n"):
                        _take(self.seen, line)
        except OSError:
            return self.seen


def _take(seen: Seen, line: bytes) -> None:
    try:
        found = json.loads(line)
        if isinstance(found, dict):
            note(seen, found)
    except (ValueError, KeyError, TypeError, RecursionError):  # a line that a killed process left, or no line of ours
        return
