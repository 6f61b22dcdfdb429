"""A training's stream of reports, as who trains wants it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ..domain.messages import Progress
from ..engines.device import give_back_memory
from ..engines.transformers.engine_thread import engine_thread


def waited(steps: Generator[Progress, None, Any]) -> Generator[Progress, None, Any]:
    """The same stream, each report once; who leaves it waits until the step that is being made is done, and saved."""
    last = None
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            if step is not last:
                yield step
            last = step
    except (GeneratorExit, KeyboardInterrupt):
        steps.close()
        engine_thread().run(give_back_memory)
        raise
