"""What a llama.cpp process says of one request, computed in a thread of its own and read with heartbeats."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from ...domain.errors import ContextExceeded, EngineFailed, PaddockError
from ..library_errors import translated

HEARTBEAT_S = 0.5


class Chunks:
    """The chunks that `compute` hands to its argument, which says whether to stop; `during` completes an error."""

    def __init__(self, compute: Callable[[Callable[[dict[str, Any]], bool]], None], during: str) -> None:
        self._compute_them, self._during = compute, during
        self._chunks: queue.SimpleQueue[dict[str, Any] | PaddockError | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._compute, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the computation within one token, or one step of prefill, and wait for it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def next(self) -> dict[str, Any] | None:
        """The next chunk, an empty one when nothing came for a heartbeat, None at the end.

        Raises what the server reported: ContextExceeded, EngineFailed and others.
        """
        try:
            chunk = self._chunks.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            return {}
        if isinstance(chunk, PaddockError):
            raise chunk
        if chunk and (error := chunk.get("error")):
            if error.get("type") == "exceed_context_size_error":
                raise ContextExceeded(prompt_tokens=error["n_prompt_tokens"], context=error["n_ctx"])
            raise EngineFailed(detail=str(error.get("message", "unknown"))[:200])
        return chunk

    def _compute(self) -> None:
        def on_chunk(chunk: dict[str, Any]) -> bool:
            self._chunks.put(chunk)
            return self._stopped.is_set()

        try:
            with translated(during=self._during):
                self._compute_them(on_chunk)
            self._chunks.put(None)
        except PaddockError as error:
            self._chunks.put(error)
