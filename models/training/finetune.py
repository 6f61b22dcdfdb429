"""One finetuning from a file of rows to an adapter or a model: what is checked, planned, learned and reported."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Generator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import loading
from ..compute.background import reported
from ..domain.catalog import ModelCard
from ..domain.data_sets import ROWS, data_sets
from ..domain.errors import BadProcesses, BadTrainingData, DoesNotFit, NotTrainable, TrainingSettingOutOfBounds
from ..domain.memory.plan import LoadPlan, Part
from ..domain.memory.sharded_plan import sharded_parts
from ..domain.memory.training_plan import TrainingPlan, disk_bytes, smaller_batches, step_parts
from ..domain.messages import Progress
from ..domain.training import (
    TRAINABLE_MODES,
    TrainingReport,
    TrainingSettings,
    fingerprint,
)
from ..domain.training_data import read_rows
from ..domain.training_events import Said
from ..domain.units import size
from ..domain.variant import AUTO, Variant
from ..engines.device import gpu_memory
from ..runtime import Runtime
from ..system.durable import write_text
from ..system.ranks import Place
from ..weights.hub.datasets import first_rows
from .engine.examples import read_examples
from .engine.methods import METHODS
from .engine.trainer import learn
from .engine.training import Training
from .finetune_folder import CHECKPOINTS, begin, check_folder, checkpoint_of, deliver
from .made import FILE as MADE
from .made import made_of
from .rows_file import read_content
from .waited import waited


def finetune(
    runtime: Runtime,
    base: Variant,
    data: Path,
    out: Path,
    settings: TrainingSettings,
    overwrite: bool = False,
    columns: Mapping[str, str] = MappingProxyType({}),
    place: Place | None = None,
    copies: int = 0,
) -> Generator[Progress | TrainingReport, None, None]:
    """Train `base` on the rows of `data`, whose `columns` are renamed, and write what was learned to the folder `out`.

    That is an adapter or, with the method “full”, a model. Adapters of the base act while one is trained and stay as
    they are; it is of use with them only. At a `place` among several processes, which have met, this is the first: the
    others hold and compute their parts.
    Yields progress, what became of the rows and what a step takes among it, and at last the report; closing it waits
    until the current step has ended, and leaves the checkpoint of the last whole epoch, from which the next call with
    the same arguments goes on. What is finished is replaced only with `overwrite`, at the end. Raises PaddockError.
    """
    started = time.perf_counter()
    data = yield from found_data(runtime, data, settings.rows)
    content = read_content(data)
    rows = read_rows(content, data.name, columns)[: settings.rows or None]
    card = runtime.card(base)
    settings = replace(settings, quantization=training_mode(runtime, base, card, settings))
    if settings.max_tokens > card.context:
        wanted = f"at most {card.context:,} for this model"
        raise TrainingSettingOutOfBounds(name="max_tokens", value=settings.max_tokens, wanted=wanted)
    variant, mode = runtime.resolve(base.resolved(settings.quantization), card)
    processes, copies = _shares(settings, mode.name, place, copies)
    check_folder(out, overwrite, METHODS[settings.method])
    on = yield from loading.fetched_adapters(base, card, runtime.settings, None)
    planned = runtime.planner.plan(card, mode, adapters=on)
    if not place:
        runtime.planner.require(planned, runtime.catalog.values(), card)
    snapshot = yield from reported(
        lambda on_progress, cancelled: runtime.fetch(variant, on_progress), Progress("download", detail=card.title)
    )
    digest = hashlib.sha256(content).hexdigest()
    threads = runtime.settings.compute_threads
    examples = yield from reported(
        lambda on_progress, cancelled: read_examples(snapshot, rows, card.is_base, settings, threads, on_progress),
        Progress("train", detail="reading the rows"),
    )
    weights = f"{snapshot.content} {snapshot.bytes}"
    below = [f"{active} {active.adapter.state}" for active in on]
    made_with = fingerprint(settings, card.hub_id, weights, digest, examples.sha256, below)
    resume = checkpoint_of(out, made_with, overwrite)
    counts = examples.counts
    yield Said("read", detail=f"{counts.sentence(settings.max_tokens)}.", facts=asdict(counts))
    plan = _planned(runtime, card, planned, settings, examples.longest, place, copies)
    yield Said("train", detail=f"{plan.sentence()}.", facts={"memory": plan.facts()})
    made = begin(out, disk_bytes(card.sizes, settings))
    training = Training(
        snapshot,
        mode.name,
        runtime.machine.accelerator,
        threads,
        card.hub_id,
        settings,
        examples,
        str(out / CHECKPOINTS),
        made_with,
        on,
        str(resume or ""),
        processes,
        copies,
        frugal=plan.tight,
    )
    learned = yield from waited(
        reported(
            lambda on_progress, cancelled: learn(training, made, on_progress, cancelled),
            Progress("train", detail="starting"),
        )
    )
    report = TrainingReport(
        base=card.hub_id,
        base_revision=snapshot.revision,
        data=data.name,
        data_sha256=digest,
        rows=counts,
        settings=settings,
        before=learned.before,
        after=learned.after,
        epochs=learned.epochs,
        trained_parameters=learned.parameters,
        seconds=round(time.perf_counter() - started, 2),
        resumed=resume is not None,
        versions={name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")},
        machine=_machine(runtime),
        on=tuple(map(str, on)),
        columns=dict(columns),
        processes=processes,
    )
    if settings.method == "full":
        write_text(made / MADE, made_of(runtime, variant, "bf16").text())
    deliver(made, out, report)
    yield report


def _shares(settings: TrainingSettings, mode: str, place: Place | None, copies: int) -> tuple[int, int]:
    """How many processes train, and how many copies of the base they hold; raises BadProcesses."""
    processes = place.size if place else 1
    copies = copies or (place.size // place.beside if place else 1)
    if processes % copies:
        raise BadProcesses(
            reason=f"{processes} processes cannot hold {copies} copies of the base in equal parts",
            suggestion="Give --copies that divide the number of processes.",
        )
    if settings.batch < processes:
        raise BadProcesses(
            reason=f"a batch of {settings.batch} rows has none for some of {processes} processes",
            suggestion=f"Give --batch {processes} or more; it is shared among them.",
        )
    if mode == "int8" and place:
        raise BadProcesses(
            reason="an int8 base is trained on in one process only",
            suggestion="Leave --processes out, or pick another --quantization: fp32, bf16, nf4.",
        )
    return processes, copies


def found_data(runtime: Runtime, data: Path, rows: int) -> Generator[Progress, None, Path]:
    """The file of rows; a short name of data_sets.toml is one with the first rows of that data set on the Hub."""
    if data.exists():
        return data
    if (chosen := data_sets().get(str(data))) is None:
        raise BadTrainingData(file=data.name[:80], reason="it is neither a file nor one of the names in `datasets`")
    most = min(rows or ROWS, chosen.rows)
    return (
        yield from reported(
            lambda on_progress, cancelled: first_rows(chosen, most, runtime.settings, on_progress),
            Progress("download", detail=chosen.title),
        )
    )


def training_mode(runtime: Runtime, base: Variant, card: ModelCard, settings: TrainingSettings) -> str:
    """The mode to load the base in; `auto` is bf16 where a GPU computes it, else fp32."""
    asked = {name for name in (base.quantization, settings.quantization) if name != AUTO}
    if len(asked) > 1:
        reason = f"two quantizations were asked for, {' and '.join(sorted(asked))}"
        raise NotTrainable(model=str(base), reason=reason, suggestion="Name one of them.")
    gpu = runtime.machine.accelerator == "cuda" and runtime.machine.native_bf16
    full = settings.method == "full"
    mode = next(iter(asked), card.checkpoint or ("bf16" if gpu and not full else "fp32"))
    if full and mode != "fp32":
        raise NotTrainable(
            model=card.key,
            reason=f"weights in {mode} are too coarse to learn themselves",
            suggestion="Pick --quantization fp32, or train an adapter (--method lora).",
        )
    if full and base.adapters:
        raise NotTrainable(
            model=str(base),
            reason="adapters do not act while the model's own weights learn",
            suggestion="Merge them with `save` first, and train the result.",
        )
    if mode not in TRAINABLE_MODES:
        raise NotTrainable(
            model=card.key,
            reason=f"no gradients flow through weights in {mode}",
            suggestion=f"Pick another --quantization: {', '.join(TRAINABLE_MODES)}.",
        )
    return mode


def _planned(
    runtime: Runtime,
    card: ModelCard,
    planned: LoadPlan,
    settings: TrainingSettings,
    longest: int,
    place: Place | None,
    copies: int,
) -> TrainingPlan:
    """The base and a step of training on the longest rows; raises DoesNotFit unless the operator overrides."""
    quantized = settings.quantization not in ("fp32", "bf16")  # whatever is not becomes fp32
    widened = card.sizes.embedding_parameters * (2 if card.sizes.tied_embeddings else 4) if quantized else 0
    base = planned.needed + widened
    value_bytes = 2 if settings.quantization == "bf16" else 4
    checkpointed = runtime.machine.accelerator == "cuda"  # as the trainer does

    def plan(tried: TrainingSettings) -> TrainingPlan:
        if place:
            parts = sharded_parts(planned, card.sizes, tried, longest, widened, place.size, copies, checkpointed)
            beside = place.beside if runtime.machine.accelerator == "cpu" else 1
            return TrainingPlan(parts, planned.budget.free // beside, planned.budget.device)
        parts = (Part("base", "base", base), *step_parts(card.sizes, tried, longest, value_bytes, checkpointed))
        return TrainingPlan(parts, planned.budget.free, planned.budget.device)

    wanted, least = plan(settings), place.size if place else 1
    if wanted.needed > wanted.free and not runtime.settings.load_anyway:
        fits = next(
            (one for one in smaller_batches(settings) if plan(one).needed <= wanted.free and one.batch >= least), None
        )
        suggestion = "Take fewer tokens of a row (--max-tokens), or a smaller model."
        if fits:
            taken = size(plan(fits).needed)
            batch, apart = fits.batch, fits.accumulate
            suggestion = (
                f"Take batches of {batch} rows, {apart} to a step (--batch {batch} --accumulate {apart}): {taken}."
            )
        raise DoesNotFit(
            variant=f"Training {planned.variant}",
            needed=size(wanted.needed),
            device=wanted.device,
            free=size(wanted.free),
            suggestion=suggestion,
        )
    return wanted


def _machine(runtime: Runtime) -> dict[str, Any]:
    gpu = gpu_memory() if runtime.machine.accelerator == "cuda" else None
    accelerator = gpu.name if gpu else runtime.machine.accelerator
    return {"accelerator": accelerator, "cores": runtime.settings.compute_threads, "processor": platform.machine()}
