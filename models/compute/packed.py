"""Models that every worker of ZeroGPU has from its beginning: loaded before the launch, on the main thread.

`spaces` writes what lies on its emulated GPU by then to disk, and moves it to the real one in each new worker.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ..domain.engine import Engine
from ..domain.load import Load, Room
from ..domain.messages import Progress
from ..domain.units import size
from ..engines.device import in_worker
from ..engines.transformers.engine_thread import on_this_thread
from .background import OnProgress
from .pool import Pool

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
