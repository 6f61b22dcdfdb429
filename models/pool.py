"""Loaded models, by what was loaded: leased, shared, and ejected when room is needed, never while in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .background import OnProgress
from .spec.engine import Engine
from .spec.messages import Progress

K = TypeVar("K", bound=Hashable)
HEARTBEAT_S = 0.5


@dataclass(frozen=True)
class Held:
    """One line of what is in memory; bytes, seconds since the epoch."""

    name: str
    engine: str
    bytes: int
    last_used: float
    users: int


@dataclass
class _Entry:
    """A model that is loading, loaded, or failed to load."""

    estimate: int
    users: int = 0
    last_used: float = field(default_factory=time.time)
    progress: Progress = field(default_factory=lambda: Progress("load"))
    engine: Engine | None = None
    failure: BaseException | None = None

    @property
    def settled(self) -> bool:
        return self.engine is not None or self.failure is not None


class Lease:
    """A model that stays in memory until the lease ends; exhaust `waiting()` before using `engine`."""

    def __init__(self, pool_changed: threading.Condition, entry: _Entry) -> None:
        self._changed, self._entry = pool_changed, entry

    def waiting(self) -> Generator[Progress, None, None]:
        """Progress of the load until the model is there; raises what the load raised."""
        while True:
            with self._changed:
                if not self._entry.settled:
                    self._changed.wait(HEARTBEAT_S)
                if self._entry.settled:
                    break
                progress = self._entry.progress
            yield progress
        if self._entry.failure is not None:
            raise self._entry.failure

    @property
    def engine(self) -> Engine:
        assert self._entry.engine is not None, "read waiting() to its end first"
        return self._entry.engine


class Pool(Generic[K]):
    """Engines by key, within `limit` bytes together (one is always allowed); `load` makes an engine for a key."""

    def __init__(self, load: Callable[[K, OnProgress], Engine], limit: int) -> None:
        self._load, self._limit = load, limit
        self._entries: dict[K, _Entry] = {}
        self._changed = threading.Condition()

    @contextmanager
    def lease(self, key: K, estimate: int) -> Iterator[Lease]:
        """A lease on the model of `key`, whose load is started if need be; `estimate` is its bytes until measured."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(estimate)
                threading.Thread(target=self._fill, args=(key, entry), daemon=True, name="paddock-load").start()
            entry.users += 1
        try:
            yield Lease(self._changed, entry)
        finally:
            with self._changed:
                entry.users -= 1
                entry.last_used = time.time()
                self._changed.notify_all()

    def eject(self, key: K) -> bool:
        """Close a loaded model that nobody uses and give its memory back; says whether it did."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None or entry.users or entry.engine is None:
                return False
            del self._entries[key]
        entry.engine.close()
        return True

    def held(self) -> list[Held]:
        """What is in memory now, the last used first."""
        with self._changed:
            lines = [
                Held(str(key), e.engine.name, e.engine.bytes, e.last_used, e.users)
                for key, e in self._entries.items()
                if e.engine is not None
            ]
        return sorted(lines, key=lambda line: -line.last_used)

    def _fill(self, key: K, entry: _Entry) -> None:
        def report(progress: Progress) -> None:
            with self._changed:
                entry.progress = progress
                self._changed.notify_all()

        try:
            self._make_room(entry)
            entry.engine = self._load(key, report)
        except BaseException as error:  # a failed load must reach every waiting reader, and stay forgotten
            with self._changed:
                entry.failure = error
                self._entries.pop(key, None)
        with self._changed:
            self._changed.notify_all()

    def _make_room(self, wanted: _Entry) -> None:
        while True:
            with self._changed:
                taken = sum(e.engine.bytes if e.engine else e.estimate for e in self._entries.values())
                idle = [(e.last_used, key) for key, e in self._entries.items() if e.engine and not e.users]
                if taken <= self._limit or not idle:
                    return
                oldest = min(idle, key=lambda pair: pair[0])[1]
            self.eject(oldest)
