"""What a training tells: for people lines on standard error, for programs a line of JSON each on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..domain.messages import Progress
from ..domain.training_events import Said, Step
from .terminal import ProgressLine


class PeopleLines:
    """What stays as lines, the rest as one that changes."""

    def __init__(self) -> None:
        self._line = ProgressLine()

    def show(self, step: Progress) -> None:
        """One more step."""
        if isinstance(step, Said):
            self.say(step.detail)
        else:
            self._line.show(step)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Call it before anything else is printed."""
        self._line.clear()


class JsonLines(PeopleLines):
    """An object a line: what is said, each look at the run, and plain progress a tenth at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ("", "", -1)

    def show(self, step: Progress) -> None:
        """One more step."""
        match step:
            case Said():
                print_event("said", {"stage": step.stage, "text": step.detail, **(step.facts or {})})
            case Step():
                print_event("step", asdict(step))
            case _:
                now = (step.stage, step.detail, int(10 * step.done / step.total) if step.total else -1)
                if now != self._last:
                    print_event("progress", asdict(step))
                self._last = now


def training_lines(as_json: bool) -> PeopleLines:
    """Lines for people or for programs."""
    return JsonLines() if as_json else PeopleLines()


def print_event(event: str, facts: Mapping[str, Any]) -> None:
    """A line of JSON."""
    print(json.dumps({"event": event, **facts}, ensure_ascii=False), flush=True)
