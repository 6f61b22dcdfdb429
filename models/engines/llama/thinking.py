"""An answer with a thought before it, in the llama.cpp process: split token by token, the thought ended at its budget.

The library's own parsers of thoughts work on messages that its own templates wrote; prompts are ours, so that a thought
means the same in every engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...domain.messages import ThoughtEnd
from ...domain.thinking import Marks, Thoughts
from ..thoughts import Split, Splitter
from .tokens import Tokens

Chunk = dict[str, Any]
OnChunk = Callable[[Chunk], bool]  # says whether to stop
COUNTS = {"timings_per_token": True}  # also of tokens that carry no text yet


def thoughts_from(plain: dict[str, Any]) -> Thoughts:
    """What went to another process as plain data."""
    marks = plain["marks"] | {"opens": tuple(plain["marks"]["opens"])}
    return Thoughts(**plain | {"marks": Marks(**marks)})


class ThinkingAnswer:
    """One answer of at most `longest` tokens after a thought of at most a budget.

    `run` computes a prompt of token ids and hands its chunks on; `hand` gets them with the text of the answer alone,
    the rest as `thought` and `written`, and what a Usage says of the thought as `thinking`.
    """

    def __init__(self, tokens: Tokens, thoughts: Thoughts, longest: int, hand: OnChunk) -> None:
        self._tokens, self._thoughts, self._longest, self._hand = tokens, thoughts, longest, hand
        self._split = Splitter(thoughts)
        self._text = ""
        self._done, self._before, self._thought_tokens = 0, 0, 0  # tokens: all, those of an earlier request, thought
        self._end: ThoughtEnd = ""
        self._timings: list[Chunk] = []  # of each request
        self._over = ""
        self._began, self._seconds = 0.0, 0.0  # at the first token, and of the thought since then

    def compute(self, ids: list[int], run: Callable[[list[int], OnChunk], None]) -> None:
        """Hand on all chunks of the answer to a prompt."""
        run(ids, self._see)
        if self._over == "budget":
            closing = self._thoughts.marks.closing
            self._before = self._done + len(self._tokens.of(closing, rendered=True))
            so_far = ids + self._tokens.of(self._text + closing, rendered=True)
            self._over = ""
            if self._pass_on(closing, self._before):
                return
            run(so_far, self._see)
        if self._over == "length":
            self._finish("length")

    def _see(self, chunk: Chunk) -> bool:
        if "prompt_progress" in chunk:
            return not self._before and self._hand(chunk)
        if not chunk.get("choices"):  # an error
            return self._hand(chunk)
        (choice,) = chunk["choices"]
        self._timings[bool(self._before) :] = [chunk["timings"]]
        count = self._before + chunk["timings"]["predicted_n"]
        if choice["finish_reason"]:
            self._done = count
            self._finish(choice["finish_reason"])
            return False
        self._began = self._began or time.perf_counter()
        self._text += choice["text"]
        if self._pass_on(choice["text"], count):
            return True
        if self._end == "open" and count >= self._budget:
            self._over, self._end = "budget", "budget"
        elif count - self._thought_tokens >= self._longest:
            self._over = "length"
        return bool(self._over)

    @property
    def _budget(self) -> int:
        return self._thoughts.budget or self._longest

    def _pass_on(self, text: str, count: int) -> bool:
        """Hand on some more text, which ends after `count` tokens."""
        split, new = self._split.push(text), count - self._done
        self._done = count
        if self._split.before_answer(split):
            self._thought_tokens, self._seconds = count, time.perf_counter() - self._began
            if self._end != "budget":
                self._end = self._split.end
        return self._hand(self._chunk(split, new))

    def _chunk(self, split: Split, new: int, finish: str | None = None) -> Chunk:
        return {
            "choices": [{"text": split.answer, "finish_reason": finish}],
            "tokens": new,
            "thought": split.thought,
            "written": split.written,
            "thinking": {"thought_tokens": self._thought_tokens, "thought_s": self._seconds, "thinking": self._end},
            "in_thought": self._split.in_thought,
        }

    def _finish(self, reason: str) -> None:
        if (last := self._split.finish()) != Split():
            self._hand(self._chunk(last, 0))
        self._end = "open" if self._split.end == "open" else self._end
        self._hand(self._chunk(Split(), 0, reason) | {"timings": self._whole()})

    def _whole(self) -> Chunk:
        """The counts of both requests as those of one, in which the second prompt was a step of decoding."""
        first, *further = self._timings
        taken = first["predicted_ms"] + sum(each["prompt_ms"] + each["predicted_ms"] for each in further)
        speed = 1000 * self._done / taken if taken else 0.0
        return first | {"predicted_n": self._done, "predicted_ms": taken, "predicted_per_second": speed}
