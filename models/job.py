"""One computation as plain data, and how the process that computes does it.

A job crosses to a forked worker on ZeroGPU, so it holds values only; models live in the process that computes, and
the page's process needs none of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache

from .background import OnProgress
from .engines.device import accelerator, memory
from .pool import Pool
from .spec.engine import Engine, Prompt
from .spec.messages import Delta, Event, Message, Rendered, Sampling
from .spec.settings import Settings
from .spec.snapshot import Snapshot
from .turnstile import Turnstile


@dataclass(frozen=True)
class Load:
    """What an engine is made from; equal loads share one engine. `variant` is spelled with its mode."""

    variant: str
    snapshot: Snapshot
    mode: str
    context: int
    kv_bytes_per_token: int
    settings: Settings

    def __str__(self) -> str:
        return self.variant


@dataclass(frozen=True)
class Job:
    """A load, and the prompt to give to it: `messages` for the model's own template, or `prompt` as it is."""

    load: Load
    sampling: Sampling
    messages: tuple[Message, ...] = ()
    prompt: str = ""


def open_engine(load: Load, on_progress: OnProgress) -> Engine:
    """The engine that a mode is computed by."""
    if load.mode == "gguf":
        from .engines.gguf_engine import open_gguf

        return open_gguf(
            load.snapshot,
            load.settings,
            accelerator=accelerator(),
            context=load.context,
            kv_bytes_per_token=load.kv_bytes_per_token,
            on_progress=on_progress,
        )
    from .engines.transformers_engine import open_transformers

    return open_transformers(load.snapshot, load.mode, accelerator(), load.settings, on_progress)


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
    return ComputingProcess(Pool(open_engine, int(memory().free * settings.memory_fraction)), Turnstile())


def run(job: Job) -> Iterator[Event]:
    """Load if need be, wait for a turn, and stream the answer; closing it stops within one token."""
    process = computing_process(job.load.settings)
    asked = time.perf_counter()
    with process.pool.lease(job.load, job.load.snapshot.bytes) as lease:
        yield from lease.waiting()
        load_s = time.perf_counter() - asked
        engine = lease.engine
        prompt = engine.render(job.messages) if job.messages else Prompt(job.prompt)
        yield Rendered(prompt.text)
        with process.turnstile.ticket(job.load, engine.slots) as turn:
            yield from turn
            with closing(engine.generate(prompt, job.sampling, job.load.settings.time_limit_s)) as deltas:  # type: ignore[type-var]
                for delta in deltas:
                    yield Delta(delta.text, replace(delta.usage, variant=job.load.variant, load_s=load_s))
