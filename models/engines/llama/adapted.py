"""A llama.cpp process with adapters. It loads them as it starts: one that it lacks starts it anew, while it is idle."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...domain.engine import Attached
from ...domain.errors import AdapterRefused, CannotLoad, EngineFailed, PaddockError
from ...domain.load import ActiveAdapter, Adapter
from ...system.processes import Line
from .process import LlamaProcess

PAUSE_S = 0.1  # between two looks whether who waits has left
OnChunk = Callable[[Line], bool]
STARTED = {"started": True}  # a chunk before all others: only now the request begins to be computed
Loaded = OrderedDict[str, Adapter]  # by file, the last used at the end


class AdaptedProcess:
    """The process of one model; at most `most` adapters of `limit_bytes` stay loaded, the least recently used go first.

    `facts` is what it says of the model, `attached` are the loaded adapters, both as of its last start.
    Raises OutOfMemory or CannotLoad when it cannot be started.
    """

    def __init__(self, options: dict[str, Any], adapters: Sequence[Adapter], most: int, limit_bytes: int) -> None:
        self._options, self._most, self._limit_bytes = options, most, limit_bytes
        self._changed = threading.Condition()
        self._users, self._starting, self._closed = 0, False, False
        self._process: LlamaProcess | None = None
        self._start(OrderedDict((adapter.file, adapter) for adapter in adapters))

    def handle_completions(self, request: Line, adapters: Sequence[ActiveAdapter], on_chunk: OnChunk) -> None:
        """Compute a request with the adapters that act on it, as LlamaProcess does; raises AdapterRefused too."""
        with self._used(adapters, on_chunk) as found:
            if found:
                on_chunk(STARTED)
                found[0].handle_completions(request, on_chunk, found[1])

    def score(self, request: Line, adapters: Sequence[ActiveAdapter], on_chunk: OnChunk) -> None:
        """The same for a text to score."""
        with self._used(adapters, on_chunk) as found:
            if found:
                found[0].score(request, on_chunk, found[1])

    def close(self) -> None:
        """End the process; what it computes is dropped."""
        with self._changed:
            self._closed = True
            process, self._process = self._process, None
        if process:
            process.close()

    @contextmanager
    def _used(
        self, adapters: Sequence[ActiveAdapter], on_chunk: OnChunk
    ) -> Iterator[tuple[LlamaProcess, list[float] | None] | None]:
        """The process with these adapters loaded, and the scale of each that is; None once who asks has left.

        No scales where none is loaded: then the library keeps prompts by itself.
        """
        acting = {active.adapter.file: active for active in adapters if active.weight}
        if not self._enter({file: active.adapter for file, active in acting.items()}, on_chunk):
            yield None
            return
        try:
            assert self._process is not None  # nobody closes it while somebody uses it
            scales = [acting[file].weight if file in acting else 0.0 for file in self._order]
            yield self._process, scales or None
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def _enter(self, wanted: dict[str, Adapter], on_chunk: OnChunk) -> bool:
        """Count in once all that is wanted is loaded; who needs a new start comes before all who come later."""
        with self._changed:
            while self._starting:
                if self._has_left(on_chunk):
                    return False
            if self._process and not wanted.keys() - self._loaded.keys():
                self._users += 1
                for file in wanted:
                    self._loaded.move_to_end(file)
                return True
            self._starting = True
            while self._users:
                if self._has_left(on_chunk):
                    self._starting = False
                    self._changed.notify_all()
                    return False
        try:
            self._start_with(wanted)
            self._users += 1
        finally:
            with self._changed:
                self._starting = False
                self._changed.notify_all()
        return True

    def _has_left(self, on_chunk: OnChunk) -> bool:
        self._changed.wait(PAUSE_S)
        return on_chunk({})

    def _start_with(self, wanted: dict[str, Adapter]) -> None:
        """Start anew with more adapters, or as it was if that fails; nobody uses it meanwhile."""
        if self._closed:
            raise EngineFailed(detail="the model was ejected")
        for file, adapter in wanted.items():
            if not Path(file).is_file():
                raise AdapterRefused(adapter=adapter.name, reason="its file is no longer on this machine")
        before = self._loaded
        kept = {file: each for file, each in before.items() if file not in wanted and Path(file).is_file()}
        after: Loaded = OrderedDict(kept | wanted)
        for file in [*after]:
            if len(after) <= self._most and sum(each.bytes for each in _attached(after)) <= self._limit_bytes:
                break
            if file not in wanted:
                del after[file]
        if self._process:
            self._process.close()
            self._process = None
        try:
            self._start(after)
        except PaddockError as error:
            self._start(before)
            if not isinstance(error, CannotLoad):
                raise
            names = ", ".join(each.name for file, each in wanted.items() if file not in before)
            raise AdapterRefused(adapter=names, reason=error.facts["reason"]) from None

    def _start(self, adapters: Loaded) -> None:
        self._process = LlamaProcess({**self._options, "adapters": [*adapters]})
        self._loaded, self._order, self.facts = adapters, tuple(adapters), self._process.facts
        self.attached = tuple(_attached(adapters))


def _attached(adapters: Loaded) -> list[Attached]:
    """The last used first."""
    return [Attached(each.name, Path(file).stat().st_size) for file, each in reversed(adapters.items())]
