"""The workers of ZeroGPU that wait for a call, as far as this app has heard, and what each has in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

WARM_S = 60.0  # how long a worker is counted on after its last call


@dataclass(frozen=True)
class Worker:
    """What one had in memory when it was last heard of; `lines` are those of LoadedModel as plain data.

    One that has packed models alone has no lines.
    """

    lines: tuple[dict[str, Any], ...] = ()
    at: float = field(default_factory=time.monotonic)

    @property
    def models(self) -> set[str]:
        """The variants that it has; one that only began to load is not there."""
        return {line["name"] for line in self.lines if line["engine"]}


class Workers:
    """Those that wait, and those that a call has taken: a second press beside it gets another, or a new one.

    Which of several a call gets is ZeroGPU's affair, so only what all of them have is counted on.
    """

    def __init__(self) -> None:
        self._waiting: list[Worker] = []
        self._taken: list[Worker] = []
        self._turn = threading.Lock()

    def take(self) -> Worker | None:
        """The one that a call will probably get; None when none waits, and it starts one."""
        with self._turn:
            self._forget_old()
            if not self._waiting:
                return None
            worker = self._waiting.pop()
            self._taken.append(worker)
            return worker

    def over(self, taken: Worker | None, waits: Worker | None) -> None:
        """A call that had `taken` one is over, and one `waits` now, with what it has; None if it has gone."""
        with self._turn:
            self._taken = [each for each in self._taken if each is not taken]
            if waits is not None:
                self._waiting.append(waits)

    def clear(self) -> None:
        """Forget all of them."""
        with self._turn:
            self._waiting, self._taken = [], []

    @property
    def ready(self) -> bool:
        """Whether a next call probably starts no worker."""
        with self._turn:
            self._forget_old()
            return bool(self._waiting)

    @property
    def models(self) -> set[str]:
        """The variants that a next call probably need not load, whichever worker it gets."""
        with self._turn:
            self._forget_old()
            return set.intersection(*(worker.models for worker in self._waiting)) if self._waiting else set()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What is in any of them, each variant once, the last heard of first."""
        with self._turn:
            self._forget_old()
            return list(_by_name([*self._waiting, *self._taken]).values())

    def _forget_old(self) -> None:
        now = time.monotonic()
        self._waiting = [worker for worker in self._waiting if now - worker.at < WARM_S]


def _by_name(workers: Iterable[Worker]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for worker in sorted(workers, key=lambda worker: -worker.at):
        for line in worker.lines:
            found.setdefault(line["name"], line)
    return found


WORKERS = Workers()
