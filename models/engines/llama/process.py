"""Our end of a llama.cpp process: requests in, chunks out, and its end.

One process a model, because all llama.cpp models of one process share one OpenMP runtime: with two loaded, its
workers outnumber two cores, it stops spinning at barriers, and both decode at half their speed or less. It also gives
all of the memory back when it ends, and takes nothing along when a file makes the library crash.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...domain.errors import CannotLoad, EngineFailed, OutOfMemory, PaddockError, from_dict
from ...system.processes import KILLED, Child, Ended, Line
from ..library_errors import without_paths

# Its lines of errors: time, level, perhaps a part of the program, the function, and what is wrong.
_COMPLAINT = re.compile(r"^[\d.]+ E (?:\w+ +)?\w+: +(.+)$", re.MULTILINE)
_WHERE = re.compile(r"^(?:error loading model(?: \w+)?: |check_tensor_dims: )+")
_ASSERTED = re.compile(r"GGML_ASSERT\(.+\) failed")
_SAYS_NOTHING = ("failed to load model", "exiting due to", "error loading model: found tensors with invalid data")


class LlamaProcess:
    """A loaded GGUF model in a process of its own; `facts` is what it says of the model.

    Raises OutOfMemory or CannotLoad when it cannot be loaded.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._file = Path(options["path"]).name
        self._turn = threading.Lock()  # for who waits for which lines out
        first: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._waiting = {0: first}
        self._last_number = 0
        self._ended = False
        self._child = Child("-m", "models.engines.llama.child", each=self._hand_on)
        self.pid = self._child.pid
        self._child.send(options)
        self.facts = self._loaded(first.get())

    def handle_completions(
        self, request: dict[str, Any], on_chunk: Callable[[Line], bool], scales: Sequence[float] | None = None
    ) -> None:
        """Compute a request and hand on its chunks, until the end or until `on_chunk` returns True; blocks.

        `scales` are those of the adapters that were loaded, in their order.
        """
        self._compute({"request": request, "scales": scales}, on_chunk, "while answering")

    def score(
        self, request: dict[str, Any], on_chunk: Callable[[Line], bool], scales: Sequence[float] | None = None
    ) -> None:
        """The same for a text to score, as `given_tokens.score` takes it."""
        self._compute({"score": request, "scales": scales}, on_chunk, "while scoring")

    def _compute(self, message: dict[str, Any], on_chunk: Callable[[Line], bool], during: str) -> None:
        lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        with self._turn:
            if self._ended:
                raise _reason(self._child.end(), during)
            self._last_number += 1
            number = self._last_number
            self._waiting[number] = lines
        stopped = False
        try:
            self._child.send({"number": number, **message})
            while True:
                if (line := lines.get()) is None:
                    raise _reason(self._child.end(), during)
                if "failure" in line:
                    raise from_dict(line["failure"])
                if line["chunk"] is None:
                    return
                if not stopped and on_chunk(line["chunk"]):
                    stopped = True
                    self._child.send({"stop": number})
        finally:
            with self._turn:
                self._waiting.pop(number, None)

    def close(self) -> None:
        """End the process; what it computes is dropped."""
        self._child.end()

    def _loaded(self, facts: Line | None) -> Line:
        if facts and "failure" not in facts:
            return facts
        ended = self._child.end()
        error = from_dict(facts["failure"]) if facts else _reason(ended, "while loading the model")
        if isinstance(error, OutOfMemory):
            raise error
        reason = complaint(ended.output) or str(error.facts.get("detail", error.message))
        raise CannotLoad(file=self._file, reason=reason)

    def _hand_on(self, line: Line | None) -> None:
        with self._turn:
            if line is None:
                self._ended = True
                waiting = list(self._waiting.values())
            else:
                number = line.get("number", 0)  # of the facts
                waiting = [self._waiting[number]] if number in self._waiting else []
        for each in waiting:
            each.put(line)


def _reason(ended: Ended, during: str) -> PaddockError:
    if ended.status in KILLED:
        return OutOfMemory(during=during)
    return EngineFailed(detail=complaint(ended.output) or f"llama.cpp ended {during}, with status {ended.status}")


def complaint(printed: str) -> str:
    """The reason among the lines that llama.cpp printed: the first that says what is wrong, without local paths.

    Where there is none, what it asserted before it ended itself.
    """
    for words in _COMPLAINT.findall(printed):
        if not any(words.startswith(empty) for empty in _SAYS_NOTHING):
            reason = without_paths(_WHERE.sub("", words)).strip().rstrip(".")
            return reason.replace("has invalid data", "holds NaN or infinity")[:300]
    asserted = _ASSERTED.search(printed)
    return asserted[0][:300] if asserted else ""
