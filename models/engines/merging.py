"""A model with its adapters merged into its weights, written as a folder of its own; nothing that is loaded changes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..spec.errors import AdapterRefused
from ..spec.messages import Progress
from ..spec.settings import Settings
from ..spec.snapshot import ActiveAdapter, Snapshot
from .adapters import Adapters
from .device import give_back_memory
from .engine_thread import engine_thread, prepare_torch
from .faults import translated
from .loader import OnProgress, load

_SETTINGS = (".json", ".model", ".txt", ".jinja")
_OF_THE_WEIGHTS = ("config.json", "model.safetensors.index.json")


def write_merged(
    snapshot: Snapshot,
    mode: str,
    adapters: Sequence[ActiveAdapter],
    folder: Path,
    settings: Settings,
    on_progress: OnProgress,
) -> None:
    """Write W + sum(weight * scaling * B A) into `folder`, which must not exist, as safetensors with the tokenizer.

    The sum is taken in fp32 and rounded once, to the type of `mode` (fp32, bf16 or fp16).
    Raises AdapterRefused, OutOfMemory, CorruptWeights, DiskFull, EngineFailed.
    """

    def work() -> None:
        prepare_torch(settings.compute_threads)
        try:
            with translated(during="while merging"):
                _write(snapshot, mode, adapters, folder, on_progress)
        finally:
            give_back_memory()

    engine_thread().run(work)


def _write(
    snapshot: Snapshot, mode: str, adapters: Sequence[ActiveAdapter], folder: Path, on_progress: OnProgress
) -> None:
    model = load(snapshot, mode, "cpu", on_progress).model
    on_progress(Progress("merge"))
    _add(model, adapters)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        model.save_pretrained(part)
        for file in Path(snapshot.path).iterdir():  # the tokenizer as it is
            if file.suffix in _SETTINGS and file.name not in _OF_THE_WEIGHTS:
                shutil.copy(file, part / file.name)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _add(model: Any, adapters: Sequence[ActiveAdapter]) -> None:
    import torch

    beside = Adapters(model, most=len(adapters), limit_bytes=1 << 60)
    with beside.acting(adapters):
        changes = beside.changes()
    for name, change in changes.items():
        if name == "lm_head" and model.config.tie_word_embeddings:
            raise AdapterRefused(
                adapter=change.spelled[0][0],
                reason="it changes the head, which shares its weights with the embeddings, so it cannot be merged",
            )
        linear = model.get_submodule(name)
        # A new tensor: the loaded one may be mapped from the snapshot's own file.
        merged = linear.weight.float() + change.matrix()
        linear.weight = torch.nn.Parameter(merged.to(linear.weight.dtype), requires_grad=False)
