"""How many seconds of a GPU a press will take, from what the same took on this Space before.

Quota is charged against what is declared, so it is the least that is honest: a model that a worker has is not charged
its load, and the rows of a batch, which are computed together, are charged once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ..domain.load import Local
from ..domain.messages import Delta, Event
from . import packed
from .job import Job, Scoring
from .known_workers import WORKERS
from .quota import charged_s
from .worker import MARGIN_S

# Until something was measured here: of a slow day of the shared GPU.
LOAD_BYTES_PER_S, START_S, DECODE_TOKENS_PER_S, READ_CHARACTERS_PER_S = 1e9, 4.0, 25.0, 4000.0
LOAD_S = 2.0  # of a load, whatever the size
MOST_KEPT = 5  # of the last figures of a kind; the slowest of them counts
TELLING_TOKENS = 8  # of an answer whose speed says something
TELLING_BYTES = 10**9  # of a load whose pace says something: LOAD_S is little of it
ROW_COST = 0.1  # of a row's time, that each further row of a batch adds until it was measured


@dataclass(frozen=True)
class Work:
    """Part of a press: `tokens` to write in each of `rows` at once, and `characters` to read, with a model.

    `bytes` are those of its weights in memory.
    """

    variant: str
    bytes: int
    tokens: int = 0
    characters: int = 0
    rows: int = 1


def work_of(job: Job) -> Work:
    """What a job is to the estimate; every token that it may write is counted, thoughts included."""
    where = job.load.where
    size = where.room.weights or where.snapshot.bytes if isinstance(where, Local) else 0
    if isinstance(job, Scoring):
        return Work(job.load.variant, size, characters=len(job.prompt.text))
    read = len(job.prompt) + sum(len(message.content) for message in job.messages)
    tokens = job.sampling.max_new_tokens + (job.thinking.budget or 0)
    return Work(job.load.variant, size, tokens, read, len(job.rows))


def warm() -> set[str]:
    """The variants whose load will probably take no time in the next call."""
    return packed_variants() | WORKERS.models


def packed_variants() -> set[str]:
    """Those that every worker has from its beginning."""
    return {name for name, _ in packed.names()}


@dataclass
class Speeds:
    """What was measured on this Space, by variant; seconds, bytes, tokens and characters a second."""

    _start: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    _loads: dict[str, tuple[float, int]] = field(default_factory=dict)
    _decoding: dict[tuple[str, int], deque[float]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def note_start(self, seconds: float) -> None:
        """Seconds that a new worker lived before it began; 0 of one that was there."""
        if seconds:
            with self._turn:
                self._start.append(seconds)

    def note(self, job: Job, event: Event, there: Collection[str] = ()) -> None:
        """Take the figures of an answer that is over; of the variants that were `there` it loaded none."""
        if not isinstance(event, Delta) or event.usage.finish is None:
            return
        work, usage = work_of(job), event.usage
        with self._turn:
            self._sizes[work.variant] = work.bytes
            if work.variant not in there and usage.load_s:
                self._loads[work.variant] = (usage.load_s, work.bytes)
            if usage.new_tokens >= TELLING_TOKENS and usage.decode_tokens_per_s:
                speeds = self._decoding.setdefault((work.variant, work.rows), deque(maxlen=MOST_KEPT))
                speeds.append(usage.decode_tokens_per_s)

    def note_slow_load(self, job: Job, seconds: float) -> None:
        """A load was not over after so many seconds: the next is given twice as many."""
        work = work_of(job)
        with self._turn:
            self._loads[work.variant] = (2 * seconds, work.bytes)

    def seconds(self, works: Iterable[Work], most: int, warm: Collection[str] | None = None) -> int:
        """Whole seconds to be charged for all of it in one call, at most so many."""
        return charged_s(self.needed_s(list(works), warm), most)

    def needed_s(self, works: Sequence[Work], there: Collection[str] | None = None) -> float:
        """The same without a limit; the variants that are `there` need no load, else those of `warm`."""
        there = warm() if there is None else there
        with self._turn:
            begin = 0.0 if WORKERS.ready else max(self._start, default=START_S)
            new = {work.variant: work.bytes for work in works if work.variant not in there}
            loads = sum(self._load_s(variant, size) for variant, size in new.items())
            return MARGIN_S + begin + loads + sum(map(self._work_s, works))

    def _load_s(self, variant: str, size: int) -> float:
        if variant in self._loads:
            return self._loads[variant][0]
        loads = list(self._loads.values())
        pace = min([LOAD_BYTES_PER_S, *(loaded / s for s, loaded in loads if loaded >= TELLING_BYTES)])
        return min((_scaled(s, loaded, size, pace) for s, loaded in loads), default=size / LOAD_BYTES_PER_S)

    def _work_s(self, work: Work) -> float:
        return work.tokens / self._speed(work) + work.characters / READ_CHARACTERS_PER_S

    def _speed(self, work: Work) -> float:
        """Tokens a second of each row."""
        if measured := self._decoding.get((work.variant, work.rows)):
            return min(measured)
        if measured := self._decoding.get((work.variant, 1)):
            return min(measured) / (1 + ROW_COST * (work.rows - 1))
        # Of another variant: it reads so many more bytes for a token, and is never counted as faster.
        others = [
            min(speeds) / max(1.0, work.bytes / max(1, self._sizes[variant]))
            for (variant, rows), speeds in self._decoding.items()
            if rows == 1
        ]
        return min(others, default=DECODE_TOKENS_PER_S) / (1 + ROW_COST * (work.rows - 1))


def _scaled(seconds: float, loaded: int, size: int, pace: float) -> float:
    """Seconds for `size` bytes where `loaded` took so many; more bytes are read at `pace`.

    Part of every load is the same whatever the size, so that seconds in proportion to bytes would be far too many for
    a model larger than the measured one and too few for a smaller one.
    """
    if size > loaded:
        return seconds + (size - loaded) / pace
    return min(seconds, LOAD_S + seconds * size / max(1, loaded))


SPEEDS = Speeds()
