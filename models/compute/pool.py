"""Loaded models, by what was loaded: leased, shared, and ejected when room is needed, never while in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..domain.engine import Attached, Engine
from ..domain.errors import DoesNotFit, NotHeld
from ..domain.load import Room
from ..domain.messages import Progress
from ..domain.units import size
from .background import HEARTBEAT_S, OnProgress

K = TypeVar("K", bound=Hashable)
PATIENCE_S = 300.0  # how long a load waits for models that are in use


@dataclass(frozen=True)
class LoadedModel:
    """One line of what is in memory; bytes, seconds, seconds since the epoch. `engine` is empty while it loads."""

    name: str
    engine: str
    bytes: int  # of the weights
    predicted_bytes: int
    resident: int  # what ejecting it gives back
    load_s: float
    last_used: float
    users: int
    attached: tuple[Attached, ...] = ()  # adapters beside it


@dataclass
class _Entry:
    """A model that is loading, loaded, or failed to load."""

    room: Room
    users: int = 0
    last_used: float = field(default_factory=time.time)
    progress: Progress = field(default_factory=lambda: Progress("read"))
    load_s: float = 0.0
    engine: Engine | None = None
    failure: BaseException | None = None

    @property
    def taken(self) -> int:
        """Bytes that it is counted with now, adapters included."""
        return self.room.total + sum(adapter.bytes for adapter in (self.engine.attached if self.engine else ()))

    def line(self, name: str) -> LoadedModel:
        predicted, engine = self.room.weights, self.engine
        if engine is None:
            return LoadedModel(name, "", 0, predicted, 0, self.load_s, self.last_used, self.users)
        facts = (engine.name, engine.bytes, predicted, engine.resident, self.load_s, self.last_used, self.users)
        return LoadedModel(name, *facts, engine.attached)


class _Abandoned(BaseException):
    """Everybody who waited for a load has left; no error, which whoever loads would translate."""


class Pool(Generic[K]):
    """Engines by key, within `limit` bytes together; `load` makes an engine for a key, `free` says what memory is left.

    A load that does not fit beside the models in use waits for them; one that can never fit raises DoesNotFit.
    """

    def __init__(self, load: Callable[[K, OnProgress], Engine], limit: int, free: Callable[[], int]) -> None:
        self.limit = limit
        self._load, self._free = load, free
        self._entries: dict[K, _Entry] = {}
        self._changed = threading.Condition()
        self._door = threading.Lock()  # one load at a time makes room, or two would count the same free bytes

    @contextmanager
    def lease(self, key: K, room: Room) -> Iterator[Generator[Progress, None, Engine]]:
        """Progress until the model of `key` is there, and then it, which stays in memory until the lease ends."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(room)
                threading.Thread(target=self._fill, args=(key, entry), daemon=True, name="paddock-load").start()
            entry.users += 1
        try:
            yield self._waiting(entry)
        finally:
            with self._changed:
                entry.users -= 1
                entry.last_used = time.time()
                self._changed.notify_all()

    def _waiting(self, entry: _Entry) -> Generator[Progress, None, Engine]:
        while True:
            with self._changed:
                if entry.engine is None and entry.failure is None:
                    self._changed.wait(HEARTBEAT_S)
                if entry.failure is not None:
                    raise entry.failure
                if entry.engine is not None:
                    return entry.engine
                progress = entry.progress
            yield progress

    def eject(self, name: str) -> None:
        """Close a loaded model that nobody uses and give its memory back; raises NotHeld with the reason."""
        with self._changed:
            found = [(key, entry) for key, entry in self._entries.items() if str(key) == name]
            if not found:
                raise NotHeld(variant=name, reason="it is not in memory")
            if any(entry.users for _, entry in found):
                raise NotHeld(variant=name, reason="somebody uses it now")
            if any(entry.engine is None for _, entry in found):
                raise NotHeld(variant=name, reason="it is being loaded")
        for key, _ in found:
            self._eject(key)

    def drop(self, unwanted: Callable[[K], bool]) -> None:
        """Eject the models that nobody uses and of whose key `unwanted` is true."""
        with self._changed:
            found = [key for key in self._entries if unwanted(key)]
        for key in found:
            self._eject(key)

    def held(self) -> list[LoadedModel]:
        """What is in memory now or on its way there, the last used first."""
        with self._changed:
            lines = [entry.line(str(key)) for key, entry in self._entries.items()]
        return sorted(lines, key=lambda line: -line.last_used)

    def used(self) -> tuple[int, int]:
        """Bytes that models in use are counted with, and those of idle ones, which can be ejected."""
        with self._changed:
            busy = sum(entry.taken for entry in self._entries.values() if entry.users)
            return busy, sum(entry.taken for entry in self._entries.values() if not entry.users)

    def _eject(self, key: K) -> bool:
        with self._changed:
            entry = self._entries.get(key)
            if entry is None or entry.users or entry.engine is None:
                return False
            del self._entries[key]
        entry.engine.close()
        with self._changed:
            self._changed.notify_all()
        return True

    def _fill(self, key: K, entry: _Entry) -> None:
        def report(progress: Progress) -> None:
            with self._changed:
                if not entry.users:
                    self._forget(key, entry)  # under the lock, so that nobody can still join it
                    raise _Abandoned
                entry.progress = progress
                self._changed.notify_all()

        try:
            if self._door.locked():
                report(Progress("waiting", detail="for another model that loads"))
            with self._door:
                self._make_room(key, entry, report)
                started = time.perf_counter()
                engine = self._load(key, report)
            with self._changed:
                entry.load_s = time.perf_counter() - started
                entry.engine = engine
        except BaseException as error:  # a failed load must reach every waiting reader, and stay forgotten
            with self._changed:
                entry.failure = error
                self._forget(key, entry)
        with self._changed:
            self._changed.notify_all()

    def _make_room(self, key: K, wanted: _Entry, report: OnProgress) -> None:
        patience = time.monotonic() + PATIENCE_S
        while True:
            with self._changed:
                others = [entry for entry in self._entries.values() if entry is not wanted]
                taken = sum(entry.taken for entry in others)
                idle = [(e.last_used, each) for each, e in self._entries.items() if e.engine and not e.users]
            can_be_had = min(self.limit - taken, self._free())
            if wanted.room.total <= can_be_had:
                return
            if idle:
                self._eject(min(idle, key=lambda pair: pair[0])[1])
                continue
            if not any(entry.users for entry in others) or time.monotonic() > patience:
                raise DoesNotFit(
                    variant=str(key),
                    needed=size(wanted.room.total),
                    device="memory",
                    free=size(max(0, can_be_had)),
                    suggestion="Pick a smaller quantization or model, or try again when others have finished.",
                )
            report(Progress("waiting", detail="for memory that other models use"))
            with self._changed:
                self._changed.wait(HEARTBEAT_S)

    def _forget(self, key: K, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
