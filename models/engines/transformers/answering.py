"""One prompt's answer, or the answers of several rows at once, as deltas with what they cost so far."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from ...domain.engine import Prompt
from ...domain.errors import ContextExceeded
from ...domain.messages import SEED_MAX, Delta, Finish, Sampling, Thought, ThoughtEnd, Usage
from ...domain.thinking import Thoughts
from ..device import PeakMemory
from ..text_stream import Detokenizer, StopStrings
from ..thoughts import MOST_MARKS, Split, Splitter, special_tokens
from . import decode_loop
from .grammar import Grammar
from .loader import Loaded
from .prefix_cache import PrefixCache, can_be_cut, snapshot
from .rope_length import NOT_KEPT
from .tokens import bytes_of, decoder, prompt_ids, tokenize

NAME = "transformers"
CONTEXT = 8  # tokens of a text before its continuation, which say how that begins


@dataclass(frozen=True)
class Asked:
    """A prompt as tokens, at most `limit` more to come, and the clock: `started`, `deadline` of time.perf_counter.

    `goes_on` says that the answer continues the prompt's own text; that of a chat begins a new one. A thought has at
    most `budget` tokens before the `closing` ones follow.
    """

    ids: tuple[int, ...]
    goes_on: bool
    sampling: Sampling
    limit: int
    context: int
    seed: int | None
    started: float
    deadline: float
    thoughts: Thoughts | None = None
    budget: int = 0
    closing: tuple[int, ...] = ()
    schema: str = ""

    @classmethod
    def of(cls, loaded: Loaded, prompt: Prompt, sampling: Sampling, context: int, time_limit_s: float) -> Asked:
        """The tokens of a prompt that leaves room for an answer; raises ContextExceeded, EmptyPrompt."""
        started = time.perf_counter()
        ids = prompt_ids(loaded, prompt)
        if len(ids) > context - 1:
            raise ContextExceeded(prompt_tokens=len(ids), context=context)
        drawn = sampling.seed is None and not sampling.greedy
        seed = secrets.randbelow(SEED_MAX + 1) if drawn else sampling.seed
        limit, budget, closing = sampling.max_new_tokens, 0, list[int]()
        thoughts = None if sampling.fixed_length else prompt.thoughts
        if thoughts:
            closing = tokenize(loaded.tokenizer, Prompt(thoughts.marks.closing, rendered=True))
            budget = thoughts.budget or sampling.max_new_tokens
            limit += budget + len(closing) + MOST_MARKS
        return cls(
            ids=tuple(ids),
            goes_on=not prompt.rendered,
            sampling=sampling,
            limit=min(limit, context - len(ids)),
            context=context,
            seed=seed,
            started=started,
            deadline=started + time_limit_s,
            thoughts=thoughts,
            budget=budget,
            closing=tuple(closing),
            schema=prompt.schema,
        )


def answer(
    loaded: Loaded, prefixes: PrefixCache, asked: Asked, made_with: str, reuse: bool = True
) -> Iterator[Delta | Thought]:
    """One delta a token. `made_with` are the adapters that act, without which no kept cache is the same."""
    from transformers import DynamicCache

    length, reuse = loaded.length, reuse and not asked.sampling.repeats
    length.start(len(asked.ids))
    fits = reuse and length.now is not NOT_KEPT
    cache, cached = prefixes.take(asked.ids, f"{made_with} {length.now}") if fits else (None, 0)
    cache = cache or DynamicCache(config=loaded.model.config)
    row = _Row(loaded, asked, cached)
    whole, kept_at = False, 0
    if length.now is not NOT_KEPT and not can_be_cut(cache, len(asked.ids) + asked.limit):
        kept_at = len(asked.ids) - 1  # what comes later cannot be cut back to the prompt

    def keep() -> None:
        if kept_at > cached:
            prefixes.put(asked.ids, snapshot(cache), f"{made_with} {length.now}")

    try:
        with closing(_decode(loaded, asked, cache, [row], kept_at, keep)) as deltas:
            yield from deltas
        whole = True
    except GeneratorExit:  # closed between two tokens: what the cache holds is complete
        whole = True
        raise
    finally:
        if whole and length.now is not NOT_KEPT:
            prefixes.put([*asked.ids, *row.new_ids], cache, f"{made_with} {length.now}")


def answer_rows(loaded: Loaded, asked: Asked, rows: int) -> Iterator[Delta | Thought]:
    """The deltas of several answers to the same prompt, which differ by the adapters that act on each `row`."""
    from transformers import DynamicCache

    loaded.length.start(len(asked.ids))
    cache = DynamicCache(config=loaded.model.config)
    return _decode(loaded, asked, cache, [_Row(loaded, asked, 0, number) for number in range(rows)])


def _decode(
    loaded: Loaded,
    asked: Asked,
    cache: Any,
    rows: list[_Row],
    kept_at: int = 0,
    keep: Callable[[], None] = lambda: None,
) -> Generator[Delta | Thought, None, None]:
    """The deltas of all rows; `keep` is called once the cache holds the first `kept_at` tokens of the prompt."""
    grammars = [Grammar(loaded, asked.schema) for _ in rows] if asked.schema else []
    left = len(asked.ids) - kept_at if kept_at else decode_loop.PREFILL_CHUNK
    for _ in decode_loop.prefill(loaded.model, asked.ids, cache, len(rows), left):
        late = time.perf_counter() > asked.deadline
        for row in rows:
            yield row.end("time_limit") if late else row.delta("")
        if late:
            return
    keep()
    sampling, limit = asked.sampling, asked.limit
    forced = [row.forced for row in rows]
    steps = decode_loop.tokens(loaded, asked.ids, cache, sampling, limit, asked.seed, forced, grammars)
    try:
        for tokens in steps:
            for row, token in zip(rows, tokens, strict=True):
                if row.usage.finish is None:
                    yield from row.push(token)
            if all(row.usage.finish for row in rows):
                return
    finally:
        steps.close()  # type: ignore[attr-defined]


class _Row:
    """One answer on its way: its tokens, its text, and what it cost."""

    def __init__(self, loaded: Loaded, asked: Asked, cached: int, number: int = 0) -> None:
        self.number, self.new_ids, self.forced = number, list[int](), list[int]()
        self.usage = Usage(
            engine=NAME, prompt_tokens=len(asked.ids), cached_tokens=cached, context=asked.context, seed=asked.seed
        )
        self._asked, self._eos_ids = asked, loaded.eos_ids
        before = asked.ids[-CONTEXT:] if asked.goes_on else ()
        kept = special_tokens(asked.thoughts.marks) if asked.thoughts else []
        decode = decoder(loaded.tokenizer, kept)
        self._text = Detokenizer(decode, bytes_of(loaded.tokenizer), before)
        self._split = Splitter(asked.thoughts)
        self._stops = StopStrings(asked.sampling.stop)  # of the answer alone
        self._peak = PeakMemory()
        self._peak.start()

    def push(self, token: int) -> Iterator[Delta | Thought]:
        """What one more token brings, the last delta with its finish reason."""
        self.new_ids.append(token)
        if len(self.new_ids) == 1:
            elapsed, computed = self._elapsed(), len(self._asked.ids) - self.usage.cached_tokens
            self.usage = replace(self.usage, ttft_s=elapsed, prefill_tokens_per_s=computed / elapsed)
        split = self._split.push(self._text.push(token))
        self._count_thought(split)
        shown = self._stops.push(split.answer)
        finish = self._finish(token)
        if finish is None:
            if split.written or self._split.in_thought:
                yield self._thought(split)
            if shown or not self._split.in_thought:
                yield self.delta(shown)
            return
        last = self._split.push(self._text.finish()), self._split.finish()
        split = Split(*map("".join, zip(split, *last, strict=True)))
        if split.written:
            yield self._thought(split)
        for piece in last:
            shown += self._stops.push(piece.answer)  # empty after a stop string
        finish = "stop_string" if self._stops.found else finish
        yield self.end(finish, shown + self._stops.finish())

    def _count_thought(self, split: Split) -> None:
        """Count a token before the answer, and close a thought that is over its budget."""
        if not self._split.before_answer(split):
            return
        count, spent = len(self.new_ids), self._elapsed() - self.usage.ttft_s
        thought = self._split.end
        if self.usage.thinking == "budget" or (thought == "open" and count >= self._asked.budget):
            if self.usage.thinking != "budget":
                self.forced.extend(self._asked.closing)
            thought = "budget"
        self.usage = replace(self.usage, thinking=thought, thought_tokens=count, thought_s=spent)

    def _thought(self, split: Split) -> Thought:
        return Thought(split.thought, split.written, self._running(), self.number)

    def delta(self, text: str) -> Delta:
        """A piece of the text, with the usage as of now."""
        return Delta(text, self._running(), self.number)

    def _running(self) -> Usage:
        wall = self._elapsed()
        count, decoding = len(self.new_ids), wall - self.usage.ttft_s
        speed = (count - 1) / decoding if count > 1 and decoding > 0 else 0.0
        return replace(self.usage, new_tokens=count, wall_s=wall, decode_tokens_per_s=speed)

    def end(self, finish: Finish, text: str = "") -> Delta:
        """The last delta."""
        thinking: ThoughtEnd = "open" if self._split.end == "open" else self.usage.thinking
        self.usage = replace(self._running(), finish=finish, peak_bytes=self._peak.read(), thinking=thinking)
        return Delta(text, self.usage, self.number)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._asked.started

    def _finish(self, token: int) -> Finish | None:
        if self._stops.found:
            return "stop_string"
        if token in self._eos_ids:
            return "stop"
        answered = len(self.new_ids) - self.usage.thought_tokens
        if len(self.new_ids) >= self._asked.limit or answered >= self._asked.sampling.max_new_tokens:
            return "length"
        return "time_limit" if time.perf_counter() > self._asked.deadline else None
