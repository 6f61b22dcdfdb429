"""Models that every worker of ZeroGPU has from its beginning: loaded before the launch, on the main thread.

`spaces` writes what lies on its emulated GPU by then to disk, and moves it to the real one in each new worker.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.engine import Engine
from ..domain.load import Load, Room
from ..domain.messages import Progress
from ..domain.units import size
from ..engines.device import in_worker
from ..engines.transformers.engine_thread import on_this_thread
from .background import OnProgress
from .pool import Pool

PACK_BYTES_PER_S = 100e6  # to fetch, read and quantize, until it was measured at this start
LARGE_BYTES = 45_097_156_608  # beyond, ZeroGPU gives xlarge, which is charged twice (spaces/zero/configs.json)
_engines: dict[Load, Engine] = {}


def pack(load: Load, open_engine: Callable[[Load, OnProgress], Engine], on_progress: OnProgress) -> int:
    """Load a model for all workers to come; the bytes of its weights. Raises what loading does."""
    with on_this_thread():
        engine = _engines[load] = open_engine(load, on_progress)
    return engine.bytes


def obstacle(weights: int, before: int) -> str:
    """The reason why so many bytes are not packed after those before, or an empty string.

    All of them are written only at the launch, so that free disk is what they share.
    """
    if before + weights > LARGE_BYTES:
        return "with it, ZeroGPU would give an xlarge GPU, which is charged twice"
    folder = Path(os.environ.get("ZEROGPU_OFFLOAD_DIR") or Path.home() / ".zerogpu" / "tensors")  # as `spaces` has it
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if before + weights > (free := shutil.disk_usage(there).free):
        return f"the disk has {size(free)} for all that is packed, {size(before + weights)} with it"
    return ""


@dataclass
class StartTime:
    """The seconds that packing may take at a start, and its slowest pace in it, in bytes a second; None at first."""

    seconds: float
    pace: float | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        return max(0.0, self.began + self.seconds - time.monotonic())

    def note(self, weights: int, seconds: float) -> None:
        """So many bytes of weights were packed in so many seconds."""
        pace = weights / max(seconds, 1e-3)
        self.pace = min(self.pace or pace, pace)

    def obstacle(self, weights: int) -> str:
        """The reason why so many bytes more are not packed in what is left, or an empty string."""
        left, needed = self.left_s, weights / (self.pace or PACK_BYTES_PER_S)
        if needed < left:
            return ""
        return (
            f"it would take about {needed:.0f} s, and {left:.0f} of the {self.seconds:.0f} s that packing may take "
            "(PADDOCK_PACK_SECONDS) are left"
        )


def lease(pool: Pool[Load], load: Load, room: Room) -> AbstractContextManager[Generator[Progress, None, Engine]]:
    """As Pool.lease, for what a worker brought along too."""
    engine = _engines.get(load) if in_worker() else None
    return nullcontext(_there(engine)) if engine else pool.lease(load, room)


def _there(engine: Engine) -> Generator[Progress, None, Engine]:
    yield from ()
    return engine


def names() -> list[tuple[str, Engine]]:
    """What is packed, by the variant's spelling."""
    return [(load.variant, engine) for load, engine in _engines.items()]
