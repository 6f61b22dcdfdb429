"""One computation as plain data, and how the process that computes does it.

A job crosses to a forked worker on ZeroGPU, so it holds values only; models live in the process that computes, and
the page's process needs none of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

from ..domain.engine import Engine, Prompt
from ..domain.errors import GpuTimeUsed
from ..domain.load import ActiveAdapter, Load, Local, Remote, spelled
from ..domain.messages import Event, Message, Progress, Rendered, Sampling, Scored
from ..domain.settings import Settings
from ..domain.thinking import AS_IT_IS, Thinking
from ..engines.device import accelerator, gpu_memory, in_worker, memory, on_zero_gpu
from . import packed
from .background import OnProgress, Returning
from .pool import Pool
from .turnstile import Turnstile

T = TypeVar("T")


@dataclass(frozen=True)
class Answering:
    """A load, and the prompt to give to it: `messages` for the model's own template, or `prompt` as it is.

    There is one answer for each of `rows`, the adapters that act on it; several are computed as one batch. Only for a
    model that may think has `thinking` a budget. With a `schema`, the answer is JSON that follows it.
    """

    load: Load
    sampling: Sampling
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    rows: tuple[tuple[ActiveAdapter, ...], ...] = ((),)
    reuse: bool = True
    thinking: Thinking = AS_IT_IS
    schema: str = ""


@dataclass(frozen=True)
class Scoring:
    """A load, and a text to say the likelihood of; `record` and `reference` are files of Engine.score."""

    load: Load
    prompt: Prompt
    record: str = ""
    reference: str = ""
    adapters: tuple[ActiveAdapter, ...] = ()
    rivals: int = 0


Job = Answering | Scoring


def free_bytes() -> int:
    """Memory that models can have now: the GPU's where they compute on one, else this machine's."""
    has_gpu = accelerator() == "cuda" and (in_worker() or not on_zero_gpu())
    gpu = gpu_memory() if has_gpu else None
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


def needs_gpu(load: Load) -> bool:
    """Whether ZeroGPU has to lend a GPU for it; llama.cpp computes on the CPU there."""
    return on_zero_gpu() and isinstance(load.where, Local) and load.where.snapshot.form != "gguf"


@dataclass(frozen=True)
class Deadline:
    """When a GPU is taken away, as time.monotonic(), after so many `seconds` that were asked for."""

    at: float = float("inf")
    seconds: int = 0

    @property
    def left_s(self) -> float:
        return max(0.0, self.at - time.monotonic())

    def used(self, during: str) -> GpuTimeUsed:
        """The error that says so."""
        return GpuTimeUsed(declared=self.seconds, during=during)

    def kept(self, steps: Iterable[T], during: str) -> Iterator[T]:
        """The steps as long as there is time; raises GpuTimeUsed in place of more progress."""
        for step in steps:
            if isinstance(step, Progress) and not self.left_s:
                raise self.used(during)
            yield step


NO_DEADLINE = Deadline()
LOADING, BEFORE = "while loading the model", "before this began"


def run(job: Job, deadline: Deadline = NO_DEADLINE) -> Iterator[Event]:
    """Load if need be, wait for a turn, and stream the result; closing it stops within one token.

    An answer that is not whole by the deadline ends with `time_limit`; raises GpuTimeUsed where there is none yet.
    """
    if not deadline.left_s:
        raise deadline.used(BEFORE)
    local = job.load.where
    yield from _run_here(job, local, deadline) if isinstance(local, Local) else _run_elsewhere(job)


def _run_here(job: Job, local: Local, deadline: Deadline) -> Generator[Event, None, None]:
    process = computing_process(job.load.settings)
    process.pool.drop(lambda other: other.is_stale(job.load))  # idle ones that nobody can ask for any more
    asked = time.perf_counter()
    with packed.lease(process.pool, job.load, local.room) as waiting:
        loading = Returning(waiting)
        yield from deadline.kept(loading, LOADING)
        engine = loading.value
        load_s = time.perf_counter() - asked
        place = (job.load, engine.slots)
        if isinstance(job, Scoring) or job.sampling.repeats:
            # What is computed beside it changes how it is rounded, and a figure or an answer with a seed shall repeat.
            place = (("alone", job.load), 1)  # type: ignore[assignment]
        ticket = process.turnstile.ticket(*place)
        yield from _computed(job, engine, ticket, load_s, local.snapshot.origin, deadline)


def _run_elsewhere(job: Job) -> Generator[Event, None, None]:
    """The same where another machine holds the model: no memory is counted here, and nobody waits for a turn."""
    engine = open_engine(job.load, lambda progress: None)
    try:
        yield from _computed(job, engine, nullcontext(()), 0.0, "remote")
    finally:
        engine.close()


def _computed(
    job: Job,
    engine: Engine,
    ticket: AbstractContextManager[Iterable[Progress]],
    load_s: float,
    origin: str,
    deadline: Deadline = NO_DEADLINE,
) -> Generator[Event, None, None]:
    if isinstance(job, Scoring):
        with ticket as turn:
            yield from turn
            with closing(engine.score(job.prompt, job.record, job.reference, job.adapters, job.rivals)) as steps:  # type: ignore[type-var]
                for step in deadline.kept(steps, "while scoring"):
                    if isinstance(step, Scored):
                        step = replace(step, variant=spelled(job.load.variant, job.adapters))
                    yield step
        return
    prompt = engine.render(job.messages, job.thinking) if job.messages else Prompt(job.prompt)
    if job.schema:
        prompt = replace(prompt, schema=job.schema, thoughts=None)
    yield Rendered(prompt.text)
    with ticket as turn:
        yield from turn
        limit_s = min(job.load.settings.time_limit_s, deadline.left_s)
        with closing(engine.generate(prompt, job.sampling, limit_s, job.rows, job.reuse)) as deltas:  # type: ignore[type-var]
            for delta in deltas:
                variant = spelled(job.load.variant, job.rows[delta.row])
                known = {"variant": variant, "load_s": load_s, "origin": origin, "notes": prompt.notes}
                yield replace(delta, usage=replace(delta.usage, batch=len(job.rows), **known))  # type: ignore[arg-type]


# By protocol; an engine that is not on this machine is one line here.
REMOTE_ENGINES: dict[str, Callable[[Remote, Settings], Engine]] = {}


def open_engine(load: Load, on_progress: OnProgress) -> Engine:
    """The engine of a load; raises what opening it raises."""
    local, settings = load.where, load.settings
    if isinstance(local, Remote):
        return REMOTE_ENGINES[local.protocol](local, settings)
    if local.snapshot.form == "gguf":
        from ..engines.llama.engine import open_gguf

        return open_gguf(local, "cpu" if on_zero_gpu() else accelerator(), settings, on_progress, load.adapters)
    if local.processes > 1:
        from ..engines.transformers.split import open_split

        return open_split(local.snapshot, local.mode, accelerator(), settings, on_progress)
    from ..engines.transformers.engine import open_transformers

    return open_transformers(local.snapshot, local.mode, accelerator(), settings, on_progress)
