"""One model on transformers and torch: rendering, tokenizing, streaming with measured usage, and its end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..spec.engine import Attached, Prompt
from ..spec.errors import ContextExceeded, EmptyPrompt, EngineFailed, PaddockError, TemplateFailed
from ..spec.messages import SEED_MAX, Delta, Finish, Message, Progress, Sampling, Scored, Usage
from ..spec.settings import Settings
from ..spec.snapshot import ActiveAdapter, Snapshot
from . import decode_loop
from .adapters import Adapters, made_with
from .device import PeakMemory, give_back_memory
from .engine_thread import engine_thread, prepare_torch
from .faults import translated
from .loader import Loaded, OnProgress, load
from .prefix_cache import LIMIT_BYTES, PrefixCache
from .scoring import score
from .template import render, render_untrusted
from .text_stream import Detokenizer, StopStrings


def open_transformers(
    snapshot: Snapshot, mode: str, accelerator: str, settings: Settings, on_progress: OnProgress
) -> TransformersEngine:
    """Load on the engine thread, from any thread; raises OutOfMemory, CorruptWeights, EngineFailed.

    `on_progress` is called on the engine thread.
    """

    def work() -> TransformersEngine:
        prepare_torch(settings.compute_threads)
        loaded = load(snapshot, mode, accelerator, on_progress)
        adapters = Adapters(loaded.model, settings.attached, int(settings.attached_mb * 1e6))
        return TransformersEngine(loaded, adapters, snapshot.trusted, settings.context, accelerator)

    try:
        return engine_thread().run(work)
    except PaddockError:
        engine_thread().run(give_back_memory)  # what was loaded until then
        raise


class TransformersEngine:
    """The Engine protocol on a loaded transformers model; all of torch happens on the engine thread."""

    name = "transformers"
    slots = 1

    def __init__(self, loaded: Loaded, adapters: Adapters, trusted: bool, context: int, accelerator: str) -> None:
        self.context = min(context, loaded.context)
        self.bytes = loaded.bytes
        self._loaded: Loaded | None = loaded
        self._adapters = adapters
        self._prefixes = PrefixCache(LIMIT_BYTES.get(accelerator, LIMIT_BYTES["cpu"]))
        self._trusted = trusted
        self._template = _default_template(loaded.tokenizer.chat_template)
        self._bos = loaded.tokenizer.bos_token or ""
        self._eos = loaded.tokenizer.eos_token or ""

    @property
    def resident(self) -> int:
        """What closing it gives back."""
        return self.bytes + self._adapters.bytes

    @property
    def attached(self) -> tuple[Attached, ...]:
        """The adapters that stay beside the model for a next answer, the last used first."""
        return self._adapters.attached

    def render(self, messages: Sequence[Message]) -> Prompt:
        """The conversation by the model's own chat template; raises TemplateFailed."""
        if not self._template:
            raise TemplateFailed(reason="this model has none, it is a base model")
        renderer = render if self._trusted else render_untrusted
        return Prompt(renderer(self._template, messages, self._bos, self._eos), rendered=True)

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float = float("inf"),
        adapters: Sequence[ActiveAdapter] = (),
    ) -> Iterator[Delta]:
        """One delta a token; `close()` of the iterator, from any thread, stops the computation within one token.

        Raises ContextExceeded, EmptyPrompt, AdapterRefused, OutOfMemory, EngineFailed. A request that samples with an
        explicit seed uses no kept cache, because a prompt computed in two parts rounds differently and the text could
        change.
        """
        return engine_thread().stream(lambda: self._deltas(prompt, sampling, time_limit_s, adapters))

    def score(
        self, prompt: Prompt, record: str = "", reference: str = "", adapters: Sequence[ActiveAdapter] = ()
    ) -> Iterator[Progress | Scored]:
        """How likely each token is; `close()` of the iterator stops the computation within one chunk.

        Raises TextTooShort, ContextExceeded, ReferenceDiffers, AdapterRefused, DiskFull, OutOfMemory, EngineFailed.
        """
        return engine_thread().stream(lambda: self._scores(prompt, record, reference, adapters))

    def close(self) -> None:
        """Give the memory back, after the answer that is being computed."""
        engine_thread().run(self._close)

    def _close(self) -> None:
        self._loaded = None
        self._prefixes.clear()
        self._adapters.clear()
        give_back_memory()

    def _deltas(
        self, prompt: Prompt, sampling: Sampling, time_limit_s: float, adapters: Sequence[ActiveAdapter]
    ) -> Iterator[Delta]:
        if self._loaded is None:
            raise EngineFailed(detail="it was taken out of memory meanwhile")
        with translated(during="while answering"):
            answer = _Answer(self._loaded, self._prefixes, self.context, prompt, sampling, time_limit_s, adapters)
            # The whole answer is one job of the engine thread: nobody else's computation ever sees these adapters.
            with self._adapters.acting(adapters):
                for delta in answer.deltas():
                    yield replace(delta, usage=replace(delta.usage, adapters=self._adapters.read()))

    def _scores(
        self, prompt: Prompt, record: str, reference: str, adapters: Sequence[ActiveAdapter]
    ) -> Iterator[Progress | Scored]:
        if self._loaded is None:
            raise EngineFailed(detail="it was taken out of memory meanwhile")
        loaded = self._loaded
        with translated(during="while scoring"), self._adapters.acting(adapters):
            ids = _tokenize(loaded.tokenizer, prompt)
            if len(ids) > self.context:
                raise ContextExceeded(prompt_tokens=len(ids), context=self.context)
            yield from score(loaded.model, loaded.tokenizer, ids, record, reference)


def _default_template(templates: Any) -> str | None:
    if isinstance(templates, dict):
        return templates.get("default") or next(iter(templates.values()), None)
    return templates


class _Answer:
    """One request on its way: what was asked, what was computed, and the clock."""

    def __init__(
        self,
        loaded: Loaded,
        prefixes: PrefixCache,
        context: int,
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float,
        adapters: Sequence[ActiveAdapter],
    ) -> None:
        self.started = time.perf_counter()
        self.deadline = self.started + time_limit_s
        self.loaded, self.prefixes, self.sampling = loaded, prefixes, sampling
        self.made_with = made_with(adapters)
        self.ids = _tokenize(loaded.tokenizer, prompt)
        if len(self.ids) > context - 1:
            raise ContextExceeded(prompt_tokens=len(self.ids), context=context)
        self.limit = min(sampling.max_new_tokens, context - len(self.ids))
        seed = sampling.seed
        if seed is None and not sampling.greedy:
            seed = secrets.randbelow(SEED_MAX + 1)
        self.usage = Usage(engine=TransformersEngine.name, prompt_tokens=len(self.ids), context=context, seed=seed)
        self.new_ids: list[int] = []
        self.peak = PeakMemory()

    def deltas(self) -> Iterator[Delta]:
        self.peak.start()
        cache, cached = self._take_cache()
        self.usage = replace(self.usage, cached_tokens=cached)
        whole = False
        try:
            yield from self._decode(cache)
            whole = True
        except GeneratorExit:  # closed between two tokens: what the cache holds is complete
            whole = True
            raise
        finally:
            if whole:
                self.prefixes.put(self.ids + self.new_ids, cache, self.made_with)

    def _take_cache(self) -> tuple[Any, int]:
        from transformers import DynamicCache

        exact = self.sampling.seed is not None and not self.sampling.greedy
        cache, cached = (None, 0) if exact else self.prefixes.take(self.ids, self.made_with)
        if cache is None:
            cache = DynamicCache(config=self.loaded.model.config)
        return cache, cached

    def _decode(self, cache: Any) -> Iterator[Delta]:
        loaded, sampling = self.loaded, self.sampling
        for _ in decode_loop.prefill(loaded.model, self.ids, cache):
            if time.perf_counter() > self.deadline:
                yield self._last("", "time_limit")
                return
            yield Delta("", self._running())
        text, stops = Detokenizer(_decoder(loaded.tokenizer)), StopStrings(sampling.stop)
        tokens = decode_loop.tokens(
            loaded.model, self.ids, cache, sampling, self.limit, loaded.eos_ids, self.usage.seed
        )
        try:
            for token in tokens:
                self._count(token)
                shown = stops.push(text.push(token))
                finish = self._finish(token, stops.found)
                if finish is None:
                    yield Delta(shown, self._running())
                    continue
                shown += stops.push(text.finish())  # empty after a stop string
                finish = "stop_string" if stops.found else finish
                yield self._last(shown + stops.finish(), finish)
                return
        finally:
            tokens.close()  # type: ignore[attr-defined]

    def _count(self, token: int) -> None:
        self.new_ids.append(token)
        elapsed = time.perf_counter() - self.started
        if len(self.new_ids) == 1:
            computed = len(self.ids) - self.usage.cached_tokens
            self.usage = replace(self.usage, ttft_s=elapsed, prefill_tokens_per_s=computed / elapsed)

    def _finish(self, token: int, stop_found: bool) -> Finish | None:
        if stop_found:
            return "stop_string"
        if token in self.loaded.eos_ids:
            return "stop"
        if len(self.new_ids) >= self.limit:
            return "length"
        return "time_limit" if time.perf_counter() > self.deadline else None

    def _running(self) -> Usage:
        wall = time.perf_counter() - self.started
        count, decoding = len(self.new_ids), wall - self.usage.ttft_s
        speed = (count - 1) / decoding if count > 1 and decoding > 0 else 0.0
        return replace(self.usage, new_tokens=count, wall_s=wall, decode_tokens_per_s=speed)

    def _last(self, text: str, finish: Finish) -> Delta:
        return Delta(text, replace(self._running(), finish=finish, peak_bytes=self.peak.read()))


def _tokenize(tokenizer: Any, prompt: Prompt) -> list[int]:
    ids: list[int] = tokenizer(prompt.text, add_special_tokens=not prompt.rendered)["input_ids"]
    if not ids and tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id]
    if not ids:
        raise EmptyPrompt
    return ids


def _decoder(tokenizer: Any) -> Any:
    def decode(ids: list[int]) -> str:
        return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) if ids else ""

    return decode
