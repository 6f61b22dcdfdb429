"""The one door through which everything that computes on this machine goes.

On ZeroGPU `compute` runs in a forked worker: the job and each event are pickled, an exception would drop the warm
worker, and a stream that just ends may mean that the worker died. So errors travel as data and the end is explicit.
Elsewhere `spaces.GPU` is a no-op and the same generator runs in this process.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import spaces

from ..domain.errors import EngineFailed, EngineLost, PaddockError
from ..domain.load import Local
from ..domain.messages import END, Event, from_wire, to_wire
from .job import Job, Scoring, run

log = logging.getLogger("paddock")
# A slow day of the shared GPU.
LOAD_BYTES_PER_S, START_S, DECODE_TOKENS_PER_S, SCORE_CHARACTERS_PER_S = 1e9, 5, 25, 2000


def seconds_needed(job: Job) -> int:
    """What a visitor's quota is asked for: the load, and every token at a slow day's speed."""
    weights = job.load.where.snapshot.bytes if isinstance(job.load.where, Local) else 0
    load = START_S + weights / LOAD_BYTES_PER_S
    if isinstance(job, Scoring):
        return round(load + len(job.prompt.text) / SCORE_CHARACTERS_PER_S)
    return round(load + len(job.rows) * job.sampling.max_new_tokens / DECODE_TOKENS_PER_S)


@spaces.GPU(duration=seconds_needed)  # type: ignore[untyped-decorator]
def compute(job: Job) -> Iterator[dict[str, Any]]:
    """The events of a job as plain data, closed by an explicit end."""
    yield from on_wire(job)


def on_wire(job: Job) -> Iterator[dict[str, Any]]:
    """The same without the GPU."""
    try:
        with closing(run(job)) as events:  # type: ignore[type-var]
            for event in events:
                yield to_wire(event)
    except PaddockError as error:
        yield to_wire(error)
    except Exception as error:
        log.exception("computing %s failed", job.load.variant)
        yield to_wire(EngineFailed(detail=type(error).__name__))
    yield END


def events(job: Job) -> Generator[Event, None, None]:
    """The events of a job, wherever it is computed; raises PaddockError.

    No GPU is asked for what another machine computes.
    """
    with closing(compute(job) if isinstance(job.load.where, Local) else on_wire(job)) as wire:  # type: ignore[type-var]
        for data in wire:
            if data == END:
                return
            yield from_wire(data)
    raise EngineLost
