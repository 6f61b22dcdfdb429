"""A look at the first rows of a file as a model will see them, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ..compute.background import OnProgress, exhausted
from ..domain.training import TrainingSettings
from ..domain.training_data import read_rows
from ..domain.variant import Variant
from ..runtime import Runtime
from .engine.examples import Span, look
from .finetune_plan import training_mode
from .rows_file import content_of

ROWS = 10


def look_at(
    runtime: Runtime,
    base: Variant,
    data: Path,
    settings: TrainingSettings,
    on_progress: OnProgress,
    columns: Mapping[str, str] = MappingProxyType({}),
) -> list[list[Span]]:
    """The first ten rows of `data`, each as the text of its tokens, apart where what is learned begins and ends.

    All rows are read, so what `finetune` would refuse of them is refused here. Raises PaddockError.
    """
    file, content = exhausted(content_of(runtime, data, settings.rows), on_progress)
    rows = read_rows(content, file.name, columns)
    card = runtime.card(base)
    settings = replace(settings, quantization=training_mode(runtime, base, card, settings))
    snapshot = runtime.fetch(base.without_adapters.resolved(settings.quantization), on_progress)
    return look(snapshot, rows[:ROWS], card.is_base, settings, runtime.settings.compute_threads)
