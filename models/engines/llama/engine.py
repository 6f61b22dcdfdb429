"""llama.cpp, through the xllamacpp wheel: the fast way on a CPU.

The library's own server does the batching and keeps prompt prefixes; this file gives it our protocol. Stop strings
and chat templates are ours, so that they mean the same in every engine.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...domain.engine import Attached, Prompt
from ...domain.errors import AdapterRefused, ContextExceeded, EngineFailed, NotScorable, PaddockError
from ...domain.load import ActiveAdapter, Local
from ...domain.messages import SEED_MAX, Delta, Finish, Message, Progress, Sampling, Scored, Usage
from ...domain.settings import Settings
from ..chat_template import ChatTemplate
from ..library_errors import translated
from ..text_stream import StopStrings
from .metadata import chat_template_of
from .process import LlamaProcess

BATCH = 256  # prompt tokens a step: a stop during prefill waits for one step at the most
HEARTBEAT_S = 0.5
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
        adapters: Sequence[ActiveAdapter] = (),
        reuse: bool = True,
    ) -> Iterator[Delta]:
        if self._server is None:
            raise EngineFailed(detail="the model was ejected")
        for active in adapters:  # no mode that llama.cpp computes takes one, so nobody gets here by picking
            raise AdapterRefused(adapter=active.adapter.name, reason="llama.cpp takes no adapters here")
        stream = _Stream(self, self._server, prompt, sampling, time_limit_s, reuse)
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

    def generate_rows(self, *args: Any, **options: Any) -> Iterator[Delta]:
        """Refused: the rows of a batch differ by adapters, and it takes none."""
        raise AdapterRefused(adapter="of one row", reason="llama.cpp takes no adapters here")

    def score(self, *args: Any, **options: Any) -> Iterator[Progress | Scored]:
        """Refused: the server gives chances of the tokens that it writes, not of those it is given."""
        raise NotScorable(engine=self.name)

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


class _Stream:
    """One request in a thread of its own, read as deltas."""

    def __init__(
        self, engine: GgufEngine, server: Any, prompt: Prompt, sampling: Sampling, time_limit_s: float, reuse: bool
    ) -> None:
        self._engine, self._server, self._sampling = engine, server, sampling
        self._seed = secrets.randbelow(SEED_MAX + 1) if sampling.seed is None and not sampling.greedy else sampling.seed
        self._chunks: queue.SimpleQueue[dict[str, Any] | PaddockError | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._started = time.perf_counter()
        self._deadline = self._started + time_limit_s
        self._thread = threading.Thread(
            target=self._compute, args=(engine.request(prompt, sampling, self._seed, reuse),), daemon=True
        )

    def _compute(self, request: dict[str, Any]) -> None:
        def on_chunk(chunk: dict[str, Any]) -> bool:
            self._chunks.put(chunk)
            return self._stopped.is_set()

        try:
            with translated(during="while answering"):
                self._server.handle_completions(request, on_chunk)
            self._chunks.put(None)
        except PaddockError as error:
            self._chunks.put(error)

    def stop(self) -> None:
        """End the computation within one token, or one step of prefill, and wait for it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def deltas(self) -> Iterator[Delta]:
        stops = StopStrings(self._sampling.stop)
        usage = Usage(engine=self._engine.name, context=self._engine.context, seed=self._seed)
        finish: Finish
        first_token = 0.0
        self._thread.start()
        while True:
            chunk, now = self._next(), time.perf_counter()
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

    def _next(self) -> dict[str, Any]:
        """The next chunk, or an empty one when nothing came for a heartbeat; raises what the server reported."""
        try:
            chunk = self._chunks.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            return {}
        if isinstance(chunk, PaddockError):
            raise chunk
        if chunk is None:
            raise EngineFailed(detail="llama.cpp ended without an error message")
        if error := chunk.get("error"):
            if error.get("type") == "exceed_context_size_error":
                raise ContextExceeded(prompt_tokens=error["n_prompt_tokens"], context=error["n_ctx"])
            raise EngineFailed(detail=str(error.get("message", "unknown"))[:200])
        return chunk


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
