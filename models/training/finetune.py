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
from ..domain.errors import TrainingSettingOutOfBounds
from ..domain.memory.training_plan import disk_bytes
from ..domain.messages import Progress
from ..domain.training import (
    TrainingReport,
    TrainingSettings,
    fingerprint,
)
from ..domain.training_data import question_of, read_rows
from ..domain.training_events import Said
from ..domain.variant import Variant
from ..engines.device import gpu_memory
from ..runtime import Runtime
from ..system.durable import write_text
from ..system.ranks import Place
from .engine.examples import read_examples
from .engine.methods import METHODS
from .engine.trainer import learn
from .engine.training import Training
from .finetune_folder import CHECKPOINTS, begun, check_folder, checkpoint_of, deliver
from .finetune_plan import shares, step_plan, training_mode
from .made import FILE as MADE
from .made import made_of
from .rows_file import content_of
from .waited import waited

PROMPTS = 2  # of held-out rows, to compare by


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
    data, content = yield from content_of(runtime, data, settings.rows)
    rows = read_rows(content, data.name, columns)[: settings.rows or None]
    card = runtime.card(base)
    settings = replace(settings, quantization=training_mode(runtime, base, card, settings))
    if settings.max_tokens > card.context:
        wanted = f"at most {card.context:,} for this model"
        raise TrainingSettingOutOfBounds(name="max_tokens", value=settings.max_tokens, wanted=wanted)
    variant, mode = runtime.resolve(base.resolved(settings.quantization), card)
    processes, copies = shares(settings, mode.name, place, copies)
    check_folder(out, overwrite, METHODS[settings.method])
    on = yield from loading.fetched_adapters(base, card, runtime.settings, None)
    planned = runtime.planner.plan(card, mode, context=min(settings.max_tokens, card.context), adapters=on)
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
    facts = asdict(counts) | {"prompts": [question_of(rows[number]) for number in examples.apart[:PROMPTS]]}
    yield Said("read", detail=f"{counts.sentence(settings.max_tokens)}.", facts=facts)
    plan = step_plan(runtime, card, planned, settings, examples.longest, place, copies)
    yield Said("train", detail=f"{plan.sentence()}.", facts={"memory": plan.facts()})
    with begun(out, disk_bytes(card.sizes, settings), resume) as made:
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


def _machine(runtime: Runtime) -> dict[str, Any]:
    gpu = gpu_memory() if runtime.machine.accelerator == "cuda" else None
    accelerator = gpu.name if gpu else runtime.machine.accelerator
    return {"accelerator": accelerator, "cores": runtime.settings.compute_threads, "processor": platform.machine()}
