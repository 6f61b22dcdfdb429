"""A variant's weights as one GGUF file for llama.cpp, its adapters merged, held against its source."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..compute.background import OnProgress
from ..domain.engine import Prompt
from ..domain.errors import CannotExport, NotHeld, OutputExists, ReferenceDiffers
from ..domain.load import Local, Snapshot
from ..domain.messages import Progress, Scored
from ..domain.request import REFERENCE_TEXT
from ..domain.results import metrics
from ..domain.variant import AUTO, Variant
from ..engines.chat_template import source_in
from ..engines.llama.engine import open_gguf
from ..engines.llama.export.write import require_known, write_gguf
from ..runtime import Runtime
from ..system.durable import put, write_text
from ..training.made import beside
from ..training.merge import MODES as PLAIN
from ..training.merge import merge
from ..weights.disk import writing
from ..weights.verify.file_names import CONFIG
from .origin import origin

TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class Exported:
    """The bytes of a file, and how it finds REFERENCE_TEXT beside its source.

    Perplexities, the share of positions with the same likeliest token, a lower bound of the KL divergence in nats.
    """

    bytes: int
    bits: float  # a parameter
    source: float
    perplexity: float
    agreement: float
    divergence: float


def to_gguf(runtime: Runtime, variant: Variant, kind: str, out: Path, on_progress: OnProgress) -> Exported:
    """Write `out`, which must not exist, in a type of FILE_TYPES.

    It has its name once llama.cpp has read it, makes the same tokens of a text, and was scored.
    Raises OutputExists, CannotExport, DoesNotFit, DiskFull, and what fetching, merging and loading raise.
    """
    if out.exists():
        raise OutputExists(folder=out.name)
    mode = PLAIN[0] if variant.quantization == AUTO else variant.quantization
    if mode not in PLAIN:
        raise CannotExport(reason=f"it is made of weights in {', '.join(PLAIN)}, and this is {variant}")
    variant = variant.resolved(mode)
    source = Path(runtime.fetch(variant.without_adapters, on_progress).path)
    require_known(source)  # before anything is merged
    part = out.with_name(f".{out.name}.part")
    with writing(out.name, out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _weights(runtime, variant, source, out, on_progress) as folder:
                write_gguf(folder, part, kind, _title(runtime, variant), on_progress)
            found = _held_against(runtime, variant, part, on_progress)
            _settings_beside(runtime, source, out)
            _note(runtime, variant, kind, found, out)
            put(part, out)  # the last thing: nothing is left to be tidied if we are killed now
        finally:
            part.unlink(missing_ok=True)
    return found


@contextmanager
def _weights(runtime: Runtime, variant: Variant, source: Path, out: Path, on_progress: OnProgress) -> Iterator[Path]:
    """The folder to write from: the source itself, or a copy beside `out` with the adapters merged."""
    if not variant.adapters:
        yield source
        return
    merged = out.with_name(f".{out.name}.merged")
    shutil.rmtree(merged, ignore_errors=True)  # of an earlier call that was cut off
    try:
        merge(runtime, variant, merged, on_progress)
        yield merged
    finally:
        shutil.rmtree(merged, ignore_errors=True)


def _title(runtime: Runtime, variant: Variant) -> str:
    return "+".join([runtime.card(variant).title, *map(str, variant.adapters)])


def _held_against(runtime: Runtime, variant: Variant, file: Path, on_progress: OnProgress) -> Exported:
    text, size = Prompt(REFERENCE_TEXT), file.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        record = str(Path(folder, "text.npy"))
        with closing(runtime.score(text, variant, record)) as events:
            source = _scored(events, on_progress)
        with suppress(NotHeld):
            runtime.eject(str(variant.without_adapters))
        context = runtime.planner.context(runtime.card(variant))
        local = Local(Snapshot(str(file), "gguf", "folder", size), "gguf", context, 1)
        engine = open_gguf(local, "cpu", runtime.settings, on_progress)
        try:
            with closing(engine.score(text, reference=record)) as steps:  # type: ignore[type-var]
                ours = _scored(steps, on_progress)
        except ReferenceDiffers:
            raise CannotExport(reason="llama.cpp makes other tokens of a text than its own tokenizer") from None
        finally:
            engine.close()
    return Exported(
        size,
        8 * size / runtime.card(variant).parameters,
        metrics.perplexity(source.log_probabilities),
        metrics.perplexity(ours.log_probabilities),
        metrics.share(ours.agrees),
        metrics.mean(ours.divergences),
    )


def _scored(events: Iterator[object], on_progress: OnProgress) -> Scored:
    for event in events:
        if isinstance(event, Progress):
            on_progress(event)
        if isinstance(event, Scored):
            return event
    raise AssertionError("a score ends with the score")


def _note(runtime: Runtime, variant: Variant, kind: str, found: Exported, out: Path) -> None:
    """What it is made of, and its figures, for a model card."""
    figures = {
        "perplexity": found.perplexity,
        "source_perplexity": found.source,
        "agreement": found.agreement,
        "divergence": found.divergence,
        "bits": found.bits,
    }
    write_text(beside(out), replace(origin(runtime, variant, kind), figures=figures).text())


def _settings_beside(runtime: Runtime, source: Path, out: Path) -> None:
    """In the operator's folder of models, what makes a folder of its own a model that can be picked."""
    root = runtime.settings.models_dir
    own = root and out.absolute().is_relative_to(Path(root).absolute())
    if own and not (out.parent / CONFIG).exists():
        write_text(out.parent / CONFIG, (source / CONFIG).read_text(encoding="utf-8"))
        if template := source_in(source):
            write_text(out.parent / TEMPLATE, template)
