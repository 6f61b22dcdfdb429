"""One prompt's answer, or the answers of several rows at once, as deltas with what they cost so far."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ...domain.engine import Prompt
from ...domain.errors import ContextExceeded
from ...domain.messages import SEED_MAX, Delta, Finish, Sampling, Usage
from ..device import PeakMemory
from ..text_stream import Detokenizer, StopStrings
from . import decode_loop
from .loader import Loaded
from .prefix_cache import PrefixCache
from .rope_length import NOT_KEPT
from .tokens import bytes_of, prompt_ids

NAME = "transformers"
CONTEXT = 8  # tokens of a text before its continuation, which say how that begins


@dataclass(frozen=True)
class Asked:
    """A prompt as tokens, at most `limit` more to come, and the clock: `started`, `deadline` of time.perf_counter.

    `goes_on` says that the answer continues the prompt's own text; that of a chat begins a new one.
    """

    ids: tuple[int, ...]
    goes_on: bool
    sampling: Sampling
    limit: int
    context: int
    seed: int | None
    started: float
    deadline: float

    @classmethod
    def of(cls, loaded: Loaded, prompt: Prompt, sampling: Sampling, context: int, time_limit_s: float) -> Asked:
        """The tokens of a prompt that leaves room for an answer; raises ContextExceeded, EmptyPrompt."""
        started = time.perf_counter()
        ids = prompt_ids(loaded, prompt)
        if len(ids) > context - 1:
            raise ContextExceeded(prompt_tokens=len(ids), context=context)
        drawn = sampling.seed is None and not sampling.greedy
        seed = secrets.randbelow(SEED_MAX + 1) if drawn else sampling.seed
        limit = min(sampling.max_new_tokens, context - len(ids))
        return cls(tuple(ids), not prompt.rendered, sampling, limit, context, seed, started, started + time_limit_s)


def answer(loaded: Loaded, prefixes: PrefixCache, asked: Asked, made_with: str, reuse: bool = True) -> Iterator[Delta]:
    """One delta a token. `made_with` are the adapters that act, without which no kept cache is the same."""
    from transformers import DynamicCache

    length, reuse = loaded.length, reuse and not asked.sampling.repeats
    length.start(len(asked.ids))
    fits = reuse and length.now is not NOT_KEPT
    cache, cached = prefixes.take(asked.ids, f"{made_with} {length.now}") if fits else (None, 0)
    cache = cache or DynamicCache(config=loaded.model.config)
    row = _Row(loaded, asked, cached)
    whole = False
    try:
        with closing(_decode(loaded, asked, cache, [row])) as deltas:
            yield from deltas
        whole = True
    except GeneratorExit:  # closed between two tokens: what the cache holds is complete
        whole = True
        raise
    finally:
        if whole and length.now is not NOT_KEPT:
            prefixes.put([*asked.ids, *row.new_ids], cache, f"{made_with} {length.now}")


def answer_rows(loaded: Loaded, asked: Asked, rows: int) -> Iterator[Delta]:
    """The deltas of several answers to the same prompt, which differ by the adapters that act on each `row`."""
    from transformers import DynamicCache

    loaded.length.start(len(asked.ids))
    cache = DynamicCache(config=loaded.model.config)
    return _decode(loaded, asked, cache, [_Row(loaded, asked, 0, number) for number in range(rows)])


def _decode(loaded: Loaded, asked: Asked, cache: Any, rows: list[_Row]) -> Generator[Delta, None, None]:
    for _ in decode_loop.prefill(loaded.model, asked.ids, cache, len(rows)):
        late = time.perf_counter() > asked.deadline
        for row in rows:
            yield row.end("time_limit") if late else row.delta("")
        if late:
            return
    sampling, limit = asked.sampling, asked.limit
    steps = decode_loop.tokens(loaded, asked.ids, cache, sampling, limit, asked.seed, len(rows))
    try:
        for tokens in steps:
            for row, token in zip(rows, tokens, strict=True):
                if row.usage.finish is None:
                    yield row.push(token)
            if all(row.usage.finish for row in rows):
                return
    finally:
        steps.close()  # type: ignore[attr-defined]


class _Row:
    """One answer on its way: its tokens, its text, and what it cost."""

    def __init__(self, loaded: Loaded, asked: Asked, cached: int, number: int = 0) -> None:
        self.number, self.new_ids = number, list[int]()
        self.usage = Usage(
            engine=NAME, prompt_tokens=len(asked.ids), cached_tokens=cached, context=asked.context, seed=asked.seed
        )
        self._asked, self._eos_ids = asked, loaded.eos_ids
        before = asked.ids[-CONTEXT:] if asked.goes_on else ()
        decode = partial(loaded.tokenizer.decode, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        self._text = Detokenizer(decode, bytes_of(loaded.tokenizer), before)
        self._stops = StopStrings(asked.sampling.stop)
        self._peak = PeakMemory()
        self._peak.start()

    def push(self, token: int) -> Delta:
        """The delta of one more token, the last one with its finish reason."""
        self.new_ids.append(token)
        if len(self.new_ids) == 1:
            elapsed, computed = self._elapsed(), len(self._asked.ids) - self.usage.cached_tokens
            self.usage = replace(self.usage, ttft_s=elapsed, prefill_tokens_per_s=computed / elapsed)
        shown = self._stops.push(self._text.push(token))
        finish = self._finish(token)
        if finish is None:
            return self.delta(shown)
        shown += self._stops.push(self._text.finish())  # empty after a stop string
        finish = "stop_string" if self._stops.found else finish
        return self.end(finish, shown + self._stops.finish())

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
        self.usage = replace(self._running(), finish=finish, peak_bytes=self._peak.read())
        return Delta(text, self.usage, self.number)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._asked.started

    def _finish(self, token: int) -> Finish | None:
        if self._stops.found:
            return "stop_string"
        if token in self._eos_ids:
            return "stop"
        if len(self.new_ids) >= self._asked.limit:
            return "length"
        return "time_limit" if time.perf_counter() > self._asked.deadline else None
