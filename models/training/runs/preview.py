"""What a training would be, before any: its first rows as the model will see them, the counts, the memory of a step.

A process of its own (`python -m models.training.runs.preview FILE` with what is asked), so that the app keeps none of
the memory; the answer is the last of its lines.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...domain.errors import EngineLost, PaddockError, from_dict
from ...domain.messages import Progress
from ...domain.settings import EVERY, Settings
from ...domain.training_events import Said
from ...domain.variant import Variant
from ...system.files import read_json, write_json
from ...system.processes import Child
from .asked import Asked, read_asked
from .process import environment

MODULE = "models.training.runs.preview"


@dataclass(frozen=True)
class Span:
    """A part of a row as text, and whether the model learns to write it."""

    text: str
    learned: bool


@dataclass(frozen=True)
class Preview:
    """Rows in parts, what became of all rows, bytes by part; `refused` is why it would not be trained."""

    rows: tuple[tuple[Span, ...], ...]
    counts: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    refused: PaddockError | None = None


def preview(asked: Asked, settings: Settings) -> Iterator[Progress | Preview]:
    """Look, in a process of its own, which ends with whoever asked: progress, and at last what was found.

    Raises what reading the rows raises, NotTrainable, EngineLost.
    """
    answer: dict[str, Any] = {}
    with TemporaryDirectory(prefix="paddock-") as folder:
        file = Path(folder, "asked.json")
        write_json(file, asked.to_dict())
        with Child("-m", MODULE, str(file), env=environment(settings)) as child:
            for line in child.watch(lambda: None):
                if "progress" in line:
                    yield Progress(**line["progress"])
                else:
                    answer = line
    if "error" in answer:
        raise from_dict(answer["error"])
    if "rows" not in answer:
        raise EngineLost
    rows = tuple(tuple(Span(**span) for span in row) for row in answer["rows"])
    refused = from_dict(answer["refused"]) if answer["refused"] else None
    yield Preview(rows, answer["counts"], answer["memory"], refused)


def main() -> None:
    """The process."""
    from ...runtime import Runtime
    from ..look import look_at

    runtime = Runtime(replace(Settings.from_env(), gated_models=(EVERY,)))

    def show(step: Progress) -> None:
        plain = Progress(step.stage, step.done, step.total, step.unit, step.detail)
        print(json.dumps({"progress": asdict(plain)}), flush=True)

    try:
        asked = read_asked(read_json(Path(sys.argv[1])))
        rows = look_at(runtime, Variant.parse(asked.base), Path(asked.data), asked.settings, show, asked.columns)
        shown = [[asdict(span) for span in row] for row in rows]
        print(json.dumps({"rows": shown, **_planned(runtime, asked, show)}), flush=True)
    except PaddockError as error:
        print(json.dumps({"error": error.to_dict()}), flush=True)


def _planned(runtime: Any, asked: Asked, show: Callable[[Progress], None]) -> dict[str, Any]:
    """What a training says before its first step; it is left there, and has written nothing."""
    from ..finetune import finetune

    found: dict[str, Any] = {"counts": {}, "memory": {}, "refused": None}
    nowhere = runtime.settings.cache / f"never-{secrets.token_hex(8)}"
    steps = finetune(
        runtime, Variant.parse(asked.base), Path(asked.data), nowhere, asked.settings, columns=asked.columns
    )
    with closing(steps), suppress(StopIteration):
        try:
            while not found["memory"]:
                step = next(steps)
                if not isinstance(step, Said):
                    show(step)  # type: ignore[arg-type]
                elif "memory" in (step.facts or {}):
                    found["memory"] = dict(step.facts or {})["memory"]
                elif step.stage == "read":
                    found["counts"] = dict(step.facts or {})
        except PaddockError as error:
            found["refused"] = error.to_dict()
    return found


if __name__ == "__main__":
    main()
