"""One computation as plain data, and how the process that computes does it.

A job crosses to a forked worker on ZeroGPU, so it holds values only; models live in the process that computes, and
the page's process needs none of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache

from ..domain.engine import Engine, Prompt
from ..domain.messages import Delta, Event, Message, Rendered, RowDelta, Sampling, Scored
from ..domain.settings import Settings
from ..domain.snapshot import ActiveAdapter, Snapshot, spelled
from ..engines.device import accelerator, gpu_memory, memory
from .background import OnProgress
from .pool import Pool, Room
from .turnstile import Turnstile


@dataclass(frozen=True)
class Load:
    """What an engine is made from; equal loads share one engine. `variant` is spelled with its mode.

    `slots` conversations of `context` tokens; `room` is what the plan counts it with.
    """

    variant: str
    snapshot: Snapshot
    mode: str
    context: int
    slots: int
    settings: Settings
    room: Room = field(default=Room(0), compare=False)

    def __str__(self) -> str:
        return self.variant

    def is_stale(self, newer: Load) -> bool:
        """Whether it was made from files that were replaced since by those of `newer`."""
        mine, theirs = self.snapshot, newer.snapshot
        return (mine.path, mine.form) == (theirs.path, theirs.form) and mine.state != theirs.state


@dataclass(frozen=True)
class Answering:
    """A load, and the prompt to give to it: `messages` for the model's own template, or `prompt` as it is."""

    load: Load
    sampling: Sampling
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    adapters: tuple[ActiveAdapter, ...] = ()
    reuse: bool = True


@dataclass(frozen=True)
class AnsweringRows:
    """The same for several rows of one batch, each with its own adapters."""

    load: Load
    sampling: Sampling
    rows: tuple[tuple[ActiveAdapter, ...], ...]
    messages: tuple[Message, ...] = ()
    prompt: str = ""


@dataclass(frozen=True)
class Scoring:
    """A load, and a text to say the likelihood of; `record` and `reference` are files of Engine.score."""

    load: Load
    prompt: Prompt
    record: str = ""
    reference: str = ""
    adapters: tuple[ActiveAdapter, ...] = ()
    rivals: int = 0


Job = Answering | AnsweringRows | Scoring


def open_engine(load: Load, on_progress: OnProgress) -> Engine:
    """The engine that a mode is computed by."""
    if load.snapshot.form == "gguf":
        from ..engines.llama.engine import open_gguf

        return open_gguf(
            load.snapshot,
            load.settings,
            accelerator=accelerator(),
            context=load.context,
            slots=load.slots,
            on_progress=on_progress,
        )
    from ..engines.transformers.engine import open_transformers

    return open_transformers(load.snapshot, load.mode, accelerator(), load.settings, on_progress)


def free_bytes() -> int:
    """Memory that models can have now: the GPU's where they compute on one, else this machine's."""
    gpu = gpu_memory() if accelerator() == "cuda" else None
    return (gpu or memory()).free


@dataclass(frozen=True)
class ComputingProcess:
    """The models of one process, and whose turn it is."""

    pool: Pool[Load]
    turnstile: Turnstile


def computing_process(settings: Settings) -> ComputingProcess:
    """This process's models; a forked worker starts with none of its parent's, whose threads it does not have."""
    return _computing_process(settings, os.getpid())


@cache
def _computing_process(settings: Settings, pid: int) -> ComputingProcess:
    if settings.load_anyway:
        return ComputingProcess(Pool(open_engine, 1 << 60, lambda: 1 << 60), Turnstile())
    return ComputingProcess(Pool(open_engine, int(free_bytes() * settings.memory_fraction), free_bytes), Turnstile())


def run(job: Job) -> Iterator[Event]:
    """Load if need be, wait for a turn, and stream the result; closing it stops within one token."""
    yield from _score(job) if isinstance(job, Scoring) else _answer(job)


def _answer(job: Answering | AnsweringRows) -> Generator[Event, None, None]:
    process = _process_for(job.load)
    asked = time.perf_counter()
    with process.pool.lease(job.load, job.load.room) as lease:
        yield from lease.waiting()
        load_s = time.perf_counter() - asked
        engine = lease.engine
        prompt = engine.render(job.messages) if job.messages else Prompt(job.prompt)
        yield Rendered(prompt.text)
        # What is computed beside it changes how an answer is rounded; with a seed it is the same every time.
        place = (("alone", job.load), 1) if job.sampling.repeats else (job.load, engine.slots)
        with process.turnstile.ticket(*place) as turn:
            yield from turn
            with closing(_deltas(engine, prompt, job)) as deltas:  # type: ignore[type-var]
                for delta in deltas:
                    beside = _beside(job, delta)
                    usage = replace(delta.usage, variant=spelled(job.load.variant, beside), load_s=load_s)
                    yield replace(delta, usage=replace(usage, origin=job.load.snapshot.origin, notes=prompt.notes))


def _process_for(load: Load) -> ComputingProcess:
    """This process's models, without idle ones that nobody can ask for any more."""
    process = computing_process(load.settings)
    process.pool.drop(lambda other: other.is_stale(load))
    return process


def _beside(job: Answering | AnsweringRows, delta: Delta | RowDelta) -> tuple[ActiveAdapter, ...]:
    if isinstance(job, Answering):
        return job.adapters
    assert isinstance(delta, RowDelta)
    return job.rows[delta.row]


def _deltas(engine: Engine, prompt: Prompt, job: Answering | AnsweringRows) -> Iterator[Delta] | Iterator[RowDelta]:
    limit_s = job.load.settings.time_limit_s
    if isinstance(job, AnsweringRows):
        return engine.generate_rows(prompt, job.sampling, job.rows, limit_s)
    return engine.generate(prompt, job.sampling, limit_s, job.adapters, job.reuse)


def _score(job: Scoring) -> Generator[Event, None, None]:
    process = _process_for(job.load)
    with process.pool.lease(job.load, job.load.room) as lease:
        yield from lease.waiting()
        with process.turnstile.ticket(job.load, slots=1) as turn:
            yield from turn
            scores = lease.engine.score(job.prompt, job.record, job.reference, job.adapters, job.rivals)
            with closing(scores) as steps:  # type: ignore[type-var]
                for step in steps:
                    yield (
                        replace(step, variant=spelled(job.load.variant, job.adapters))
                        if isinstance(step, Scored)
                        else step
                    )
