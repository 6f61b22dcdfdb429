"""Before a ZeroGPU Space opens: what every worker shall have from its beginning is imported and loaded here."""

from __future__ import annotations

import time
from collections.abc import Callable

from .compute import packed
from .compute.background import exhausted
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
    total = 0
    for name in runtime.settings.packed:
        if name == NONE:
            continue
        spelling = runtime.settings.default_variant if name == DEFAULT else name
        try:
            total += _packed(runtime, Variant.parse(spelling).without_adapters, total, say)
        except PaddockError as error:
            say(f"Not packed: {spelling}. {error}")


def _packed(runtime: Runtime, variant: Variant, before: int, say: Callable[[str], None]) -> int:
    """The bytes that it has now, 0 where it was not packed."""
    work = runtime.work(variant)
    if work is None:
        say(f"Not packed: {variant} is computed without a GPU.")
        return 0
    load, began = None, time.monotonic()
    if not (reason := packed.obstacle(work.bytes, before)):
        load = exhausted(runtime.ready(variant), lambda progress: None)
        reason = packed.obstacle(work.bytes, before)  # its files may have come to the same disk
    if load is None or reason:
        say(f"Not packed: {work.variant}, {size(work.bytes)}, since {reason}.")
        return 0
    held = packed.pack(load, open_engine, lambda progress: None)
    say(f"Packed for every worker: {load.variant}, {size(held)}, in {time.monotonic() - began:.1f} s.")
    return held
