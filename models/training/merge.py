"""A copy of a model with adapters merged into its weights, for programs that know no adapters."""

from __future__ import annotations

from pathlib import Path

from .. import loading
from ..compute.background import OnProgress, exhausted
from ..domain.errors import BadMerge
from ..domain.variant import AUTO, Variant
from ..runtime import Runtime
from .engine.merging import LARGEST_FILE, write_merged
from .made import FILE, made_of

MODES = ("bf16", "fp32", "fp16")  # that a merged copy can be written in, the usual one first


def merge(runtime: Runtime, variant: Variant, folder: Path, on_progress: OnProgress, most: int = LARGEST_FILE) -> None:
    """Write `variant` as a folder of plain weights, in files of at most `most` bytes; what is loaded stays as it is.

    Raises BadMerge, DoesNotFit, and what fetching and loading raise.
    """
    mode = MODES[0] if variant.quantization == AUTO else variant.quantization
    if mode not in MODES or not variant.adapters:
        raise BadMerge(reason=f"it takes adapters on a model in {', '.join(MODES)}, and this is {variant}")
    if folder.exists():
        raise BadMerge(reason=f"{folder.name} exists already")
    card, settings = runtime.card(variant), runtime.settings
    resolved, held_as = runtime.resolve(variant.resolved(mode), card)
    beside = exhausted(loading.fetched_adapters(resolved, card, settings, None), on_progress)
    planned = runtime.planner.plan(card, held_as, adapters=beside)
    runtime.planner.require(planned, runtime.catalog.values(), card, beside)
    snapshot = runtime.fetch(resolved, on_progress)
    texts = {FILE: made_of(runtime, variant, mode).text()}
    write_merged(snapshot, mode, beside, folder, settings, on_progress, most, texts)
