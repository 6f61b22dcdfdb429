"""What was computed here, for the operator: a line a run, and counts; never a word of a prompt or an answer."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from ..domain.errors import PaddockError
from ..domain.messages import Delta, Event, Scored, Thought
from .job import Job, Scoring

log = logging.getLogger("paddock.runs")
MOST_VARIANTS = 200  # that are counted by name; further ones are counted together
OTHERS = "others"


@dataclass(frozen=True)
class Run:
    """One job that is over; seconds and tokens. `finish` is that of its answer, or the code of what ended it."""

    kind: str
    variant: str
    finish: str
    adapters: int = 0  # their names are their users' own business
    rows: int = 1
    prompt_tokens: int = 0
    new_tokens: int = 0
    load_s: float = 0.0
    ttft_s: float = 0.0
    total_s: float = 0.0
    gpu_declared_s: int = 0
    gpu_used_s: float = 0.0


@dataclass
class Counts:
    """Sums since the start."""

    since: float = field(default_factory=time.time)
    runs: int = 0
    new_tokens: int = 0
    gpu_declared_s: int = 0
    gpu_used_s: float = 0.0
    finishes: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def add(self, run: Run) -> None:
        with self._turn:
            self.runs += 1
            self.new_tokens += run.new_tokens
            self.gpu_declared_s += run.gpu_declared_s
            self.gpu_used_s += run.gpu_used_s
            self.finishes[run.finish] += 1
            known = run.variant in self.variants or len(self.variants) < MOST_VARIANTS
            self.variants[run.variant if known else OTHERS] += 1

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the most used variants first."""
        with self._turn:
            return {
                "up_s": round(time.time() - self.since),
                "runs": self.runs,
                "new_tokens": self.new_tokens,
                "gpu_declared_s": self.gpu_declared_s,
                "gpu_used_s": round(self.gpu_used_s, 1),
                "finishes": dict(self.finishes.most_common()),
                "variants": dict(self.variants.most_common()),
            }


COUNTS = Counts()


def noted(
    job: Job, events: Iterator[Event], gpu: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
) -> Generator[Event, None, None]:
    """The events of a job, which is counted and logged once it is over, however it ends.

    `gpu` says at the end how many seconds of a GPU were declared for it, 0 for a further job of a call, and used.
    """
    began, last = time.monotonic(), Delta("")
    scored, written, finish = False, Counter[int](), "cancelled"
    try:
        with closing(events):  # type: ignore[type-var]
            for event in events:
                if isinstance(event, Delta | Thought):
                    last = Delta("", event.usage)
                    written[event.row] = event.usage.new_tokens
                scored = scored or isinstance(event, Scored)
                yield event
        finish = "scored" if scored else str(last.usage.finish or "cancelled")
    except PaddockError as error:
        finish = error.code
        raise
    except GeneratorExit:
        finish = str(last.usage.finish or "cancelled")
        raise
    finally:
        usage, total = last.usage, time.monotonic() - began
        declared, used = gpu()
        rows = (job.adapters,) if isinstance(job, Scoring) else job.rows
        run = Run(
            "score" if isinstance(job, Scoring) else "answer",
            job.load.variant,
            finish,
            sum(map(len, rows)),
            len(rows),
            usage.prompt_tokens,
            sum(written.values()),
            round(usage.load_s, 3),
            round(usage.ttft_s, 3),
            round(total, 3),
            declared,
            round(used, 3),
        )
        COUNTS.add(run)
        log.info(json.dumps(asdict(run)))
