"""llama.cpp, through the xllamacpp wheel: the fast way on a CPU.

The library's own server does the batching and keeps prompt prefixes; this file gives it our protocol. Stop strings
and chat templates are ours, so that they mean the same in every engine.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...domain.engine import Attached, Prompt, Rows
from ...domain.errors import AdapterRefused, EngineFailed
from ...domain.load import ActiveAdapter, Local
from ...domain.messages import SEED_MAX, Delta, Finish, Message, Progress, Sampling, Scored, Usage
from ...domain.settings import Settings
from ..chat_template import ChatTemplate
from ..text_stream import StopStrings
from .chunks import Chunks
from .metadata import chat_template_of
from .process import LlamaProcess
from .scoring import score

BATCH = 256  # prompt tokens a step: a stop during prefill waits for one step at the most
# The order in which transformers filters the distribution, so that a sampling means the same in both engines.
SAMPLERS = ["penalties", "temperature", "top_k", "top_p", "min_p"]


def open_gguf(
    local: Local, accelerator: str, settings: Settings, on_progress: Callable[[Progress], None]
) -> GgufEngine:
    """Load a GGUF file for its slots; raises OutOfMemory or CannotLoad."""
    snapshot = local.snapshot
    on_progress(Progress("read", 0, snapshot.bytes, "bytes", Path(snapshot.path).name))
    template = chat_template_of(snapshot.path, snapshot.trusted)
    process = LlamaProcess(
        {
            "path": snapshot.path,
            "context": local.context,
            "slots": local.slots,
            "batch": BATCH,
            "threads": settings.compute_threads,
            "gpu_layers": 0 if accelerator == "cpu" else -1,
        }
    )
    facts = process.facts
    return GgufEngine(process, template, facts["context"], local.slots, facts["bytes"], facts["resident"])


class GgufEngine:
    """A llama.cpp server with `slots` conversations of `context` tokens each."""

    name = "llama.cpp"
    attached: tuple[Attached, ...] = ()

    def __init__(self, server: Any, template: ChatTemplate, context: int, slots: int, size: int, resident: int) -> None:
        self._server: Any | None = server
        self._template = template
        self.context, self.slots, self.bytes, self.resident = context, slots, size, resident

    def render(self, messages: Sequence[Message]) -> Prompt:
        return self._template.write(messages)

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float = float("inf"),
        rows: Rows = ((),),
        reuse: bool = True,
    ) -> Iterator[Delta]:
        server = self._ready([active for row in rows for active in row])
        if len(rows) > 1:
            raise AdapterRefused(adapter="of one row", reason="llama.cpp takes no adapters here")
        stream = _Stream(self, server, prompt, sampling, time_limit_s, reuse)
        try:
            yield from stream.deltas()
        finally:
            stream.stop()

    def request(self, prompt: Prompt, sampling: Sampling, seed: int | None, reuse: bool = True) -> dict[str, Any]:
        """The server's own spelling of a request; `seed` is the given or a drawn one, None when greedy."""
        request: dict[str, Any] = {
            "prompt": prompt.text,
            "rendered": prompt.rendered,
            "n_predict": sampling.max_new_tokens,
            "stream": True,
            "return_progress": True,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": self.context,
            "samplers": SAMPLERS,
            "mirostat": 0,  # a file can ask for it, in place of all of the above
            # Reused prefixes change the rounding of the logits; a given seed asks for the very same answer.
            "cache_prompt": reuse and not sampling.repeats,
            "ignore_eos": sampling.fixed_length,
        }
        if not sampling.greedy:
            request["seed"] = seed
        return request

    def score(
        self,
        prompt: Prompt,
        record: str = "",
        reference: str = "",
        adapters: Sequence[ActiveAdapter] = (),
        rivals: int = 0,
    ) -> Iterator[Progress | Scored]:
        """Closing the iterator stops within one token; divergences are lower bounds."""
        yield from score(self._ready(adapters), prompt, self.context, record, reference, rivals)

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _ready(self, adapters: Sequence[ActiveAdapter]) -> Any:
        if self._server is None:
            raise EngineFailed(detail="the model was ejected")
        for active in adapters:  # no mode that llama.cpp computes takes one, so nobody gets here by picking
            raise AdapterRefused(adapter=active.adapter.name, reason="llama.cpp takes no adapters here")
        return self._server


class _Stream:
    """One request in a thread of its own, read as deltas."""

    def __init__(
        self, engine: GgufEngine, server: Any, prompt: Prompt, sampling: Sampling, time_limit_s: float, reuse: bool
    ) -> None:
        self._engine, self._sampling = engine, sampling
        self._seed = secrets.randbelow(SEED_MAX + 1) if sampling.seed is None and not sampling.greedy else sampling.seed
        request = engine.request(prompt, sampling, self._seed, reuse)
        self._chunks = Chunks(partial(server.handle_completions, request), "while answering")
        self._started = time.perf_counter()
        self._deadline = self._started + time_limit_s

    def stop(self) -> None:
        """End the computation within one token, or one step of prefill, and wait for it."""
        self._chunks.stop()

    def deltas(self) -> Iterator[Delta]:
        stops = StopStrings(self._sampling.stop)
        usage = Usage(engine=self._engine.name, context=self._engine.context, seed=self._seed)
        finish: Finish
        first_token = 0.0
        self._chunks.start()
        while True:
            chunk, now = self._chunks.next(), time.perf_counter()
            if chunk is None:
                raise EngineFailed(detail="llama.cpp ended without an error message")
            peak = chunk.get("peak_bytes", usage.peak_bytes)
            usage = replace(usage, wall_s=now - self._started, peak_bytes=peak)
            if progress := chunk.get("prompt_progress"):
                usage = replace(usage, prompt_tokens=progress["total"], cached_tokens=progress["cache"])
            if progress or not chunk:
                yield Delta("", usage)
                if now > self._deadline:
                    finish = "time_limit"
                    break
                continue
            (choice,) = chunk["choices"]
            if choice["finish_reason"]:
                finish = "length" if choice["finish_reason"] == "length" else "stop"
                break
            if not first_token:
                first_token = now
                read = (usage.prompt_tokens - usage.cached_tokens) / (now - self._started)
                usage = replace(usage, ttft_s=now - self._started, prefill_tokens_per_s=read)
            count = usage.new_tokens + chunk.get("tokens", 1)
            speed = (count - 1) / (now - first_token) if now > first_token else 0.0
            usage = replace(usage, new_tokens=count, decode_tokens_per_s=speed)
            yield Delta(stops.push(choice["text"]), usage)
            if stops.found or now > self._deadline:
                finish = "stop_string" if stops.found else "time_limit"
                break
        usage = replace(_with_timings(usage, chunk), finish=finish)
        yield Delta(stops.finish(), usage)


def _with_timings(usage: Usage, chunk: dict[str, Any]) -> Usage:
    """The server's own counts, which know about tokens that carry no text yet."""
    if not (timings := chunk.get("timings")):
        return usage
    return replace(
        usage,
        prompt_tokens=timings["prompt_n"] + timings["cache_n"],
        cached_tokens=timings["cache_n"],
        new_tokens=timings["predicted_n"],
        prefill_tokens_per_s=timings["prompt_per_second"],
        decode_tokens_per_s=timings["predicted_per_second"] if timings["predicted_n"] > 1 else 0.0,
    )
