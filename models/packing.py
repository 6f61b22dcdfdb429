"""Before a ZeroGPU Space opens: what every worker shall have from its beginning is imported and loaded here."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from .compute import packed
from .compute.background import Returning
from .compute.job import open_engine
from .domain.errors import PaddockError
from .domain.units import size
from .domain.variant import Variant
from .engines.transformers.engine_thread import import_for_workers, on_this_thread, prepare_torch
from .runtime import Runtime

DEFAULT, NONE = "default", "none"


def pack(runtime: Runtime, say: Callable[[str], None]) -> None:
    """Pack the operator's list, on the main thread and before the launch, and say what was not and why."""
    with on_this_thread():
        prepare_torch(runtime.settings.compute_threads)
        import_for_workers()
    total, start = 0, packed.StartTime(runtime.settings.pack_seconds)
    for name in runtime.settings.packed:
        if name == NONE:
            continue
        spelling = runtime.settings.default_variant if name == DEFAULT else name
        try:
            total += _packed(runtime, Variant.parse(spelling).without_adapters, total, start, say)
        except PaddockError as error:
            say(f"Not packed: {spelling}. {error}")


def _packed(
    runtime: Runtime, variant: Variant, before: int, start: packed.StartTime, say: Callable[[str], None]
) -> int:
    """The bytes that it has now, 0 where it was not packed."""
    work, began = runtime.work(variant), time.monotonic()
    if work is None:
        say(f"Not packed: {variant} is computed without a GPU.")
        return 0

    def refused() -> str:
        return packed.obstacle(work.bytes, before) or start.obstacle(work.bytes)

    reason = refused()
    if not reason:
        ready = Returning(runtime.ready(variant))
        with closing(iter(ready)) as steps:
            for _ in steps:
                if not start.left_s:
                    break  # else a long download would have the Space end this start, and the next, and go on so
        reason = refused()  # its files may have come to the same disk
    if reason:
        say(f"Not packed: {work.variant}, {size(work.bytes)}, since {reason}.")
        return 0
    held = packed.pack(ready.value, open_engine, lambda progress: None)
    start.note(held, time.monotonic() - began)
    say(f"Packed for every worker: {work.variant}, {size(held)}, in {time.monotonic() - began:.1f} s.")
    return held
