"""llama.cpp, through the xllamacpp wheel: the fast way on a CPU.

The library's own server does the batching and keeps prompt prefixes; this file gives it our protocol. Stop strings
and chat templates are ours, so that they mean the same in every engine.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...domain.engine import Attached, Prompt, Rows
from ...domain.errors import EngineFailed
from ...domain.load import ActiveAdapter, Adapter, Local
from ...domain.messages import SEED_MAX, Delta, Finish, Message, Progress, Sampling, Scored, Thought, Usage
from ...domain.quantization import KV_TYPES
from ...domain.settings import Settings
from ...domain.thinking import AS_IT_IS, Thinking
from ..chat_template import ChatTemplate
from ..text_stream import StopStrings
from ..thoughts import MOST_MARKS, special_tokens
from .adapted import STARTED, AdaptedProcess
from .chunks import Chunks
from .metadata import chat_template_of
from .scoring import score

BATCH = 256  # prompt tokens a step: a stop during prefill waits for one step at the most
# The order in which transformers filters the distribution, so that a sampling means the same in both engines.
SAMPLERS = ["penalties", "temperature", "top_k", "top_p", "min_p"]


def open_gguf(
    local: Local,
    accelerator: str,
    settings: Settings,
    on_progress: Callable[[Progress], None],
    adapters: Sequence[Adapter] = (),
) -> GgufEngine:
    """Load a GGUF file for its slots, with the adapters of the first answer; raises OutOfMemory or CannotLoad."""
    snapshot = local.snapshot
    on_progress(Progress("read", 0, snapshot.bytes, "bytes", Path(snapshot.path).name))
    template = chat_template_of(snapshot.path, snapshot.trusted)
    process = AdaptedProcess(
        {
            "path": snapshot.path,
            "context": local.context,
            "kv": KV_TYPES[local.mode.partition("/")[2]][0],
            "slots": local.slots,
            "batch": BATCH,
            "threads": settings.compute_threads,
            "gpu_layers": 0 if accelerator == "cpu" else -1,
        },
        adapters,
        settings.attached,
        int(settings.attached_mb * 1e6),
    )
    return GgufEngine(process, template, local.slots)


class GgufEngine:
    """A llama.cpp server with `slots` conversations of `context` tokens each."""

    name = "llama.cpp"

    def __init__(self, process: AdaptedProcess, template: ChatTemplate, slots: int) -> None:
        self._process: AdaptedProcess | None = process
        self._template = template
        self.context, self.slots, self.bytes = process.facts["context"], slots, process.facts["bytes"]

    @property
    def resident(self) -> int:
        """What closing it gives back, as of its last start."""
        return int(self._process.facts["resident"]) if self._process else 0

    @property
    def attached(self) -> tuple[Attached, ...]:
        """The adapters that stay loaded for a next answer."""
        return self._process.attached if self._process else ()

    def render(self, messages: Sequence[Message], thinking: Thinking = AS_IT_IS) -> Prompt:
        return self._template.write(messages, thinking)

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float = float("inf"),
        rows: Rows = ((),),
        reuse: bool = True,
    ) -> Iterator[Delta | Thought]:
        """One row; an adapter that was not loaded yet is, as soon as nothing else is computed here."""
        (adapters,) = rows
        stream = _Stream(self, self._in_memory(), adapters, prompt, sampling, time_limit_s, reuse)
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
        if prompt.schema:
            request["json_schema"] = json.loads(prompt.schema)
        if prompt.thoughts and not sampling.fixed_length:
            request |= {
                "thoughts": asdict(prompt.thoughts),
                "longest": (longest := sampling.max_new_tokens),
                "n_predict": longest + (prompt.thoughts.budget or longest) + MOST_MARKS,
                "preserved_tokens": special_tokens(prompt.thoughts.marks),
            }
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
        yield from score(self._in_memory(), adapters, prompt, self.context, record, reference, rivals)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _in_memory(self) -> AdaptedProcess:
        if self._process is None:
            raise EngineFailed(detail="the model was ejected")
        return self._process


class _Stream:
    """One request in a thread of its own, read as deltas."""

    def __init__(
        self,
        engine: GgufEngine,
        process: AdaptedProcess,
        adapters: Sequence[ActiveAdapter],
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float,
        reuse: bool,
    ) -> None:
        self._engine, self._adapters, self._sampling = engine, adapters, sampling
        self._seed = secrets.randbelow(SEED_MAX + 1) if sampling.seed is None and not sampling.greedy else sampling.seed
        request = engine.request(prompt, sampling, self._seed, reuse)
        self._chunks = Chunks(partial(process.handle_completions, request, adapters), "while answering")
        self._started = time.perf_counter()
        self._limit_s = time_limit_s

    def stop(self) -> None:
        """End the computation within one token, or one step of prefill, and wait for it."""
        self._chunks.stop()

    def deltas(self) -> Iterator[Delta | Thought]:
        stops = StopStrings(self._sampling.stop)
        usage = Usage(engine=self._engine.name, context=self._engine.context, seed=self._seed)
        finish: Finish
        first_token = 0.0
        self._chunks.start()
        while True:
            chunk, now = self._chunks.next(), time.perf_counter()
            if chunk is None:
                raise EngineFailed(detail="llama.cpp ended without an error message")
            if chunk == STARTED:
                self._started = now  # what came before was for the adapters
                continue
            if "acting" in chunk:
                usage = replace(usage, adapters=tuple(str(each) for each in self._adapters if each.weight))
                continue
            peak = chunk.get("peak_bytes", usage.peak_bytes)
            usage = replace(usage, wall_s=now - self._started, peak_bytes=peak)
            if progress := chunk.get("prompt_progress"):
                usage = replace(usage, prompt_tokens=progress["total"], cached_tokens=progress["cache"])
            if progress or not chunk:
                yield Delta("", usage)
                if now > self._started + self._limit_s:
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
            usage = replace(usage, **chunk.get("thinking", {}))
            if chunk.get("written") or chunk.get("in_thought"):
                yield Thought(chunk["thought"], chunk["written"], usage)
            if choice["text"] or not chunk.get("in_thought"):
                yield Delta(stops.push(choice["text"]), usage)
            if stops.found or now > self._started + self._limit_s:
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
