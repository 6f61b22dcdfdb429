"""llama.cpp in a process of its own: python -m models.engines.llama.child, driven by JSON lines.

The first line in says what to load; the first line out what was loaded, or the error. Then lines in are
{"number", "request"}, {"number", "score"} or {"stop": number}, lines out {"number", "chunk"}, with chunk null at a
request's end. Where adapters are loaded, "scales" says how strongly each acts on a request.
The process ends when its standard input does, also while it loads, so it never outlives the app. What the library
complains of goes to standard error.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...domain.errors import NotFinite
from ..device import PeakMemory, resident_bytes
from ..library_errors import translate
from .given_tokens import score
from .slots import AdaptedServer, Slots
from .thinking import COUNTS, ThinkingAnswer, thoughts_from
from .tokens import Tokens

BATCH_S = 0.025
KEPT_MIB = 512  # of prompt states kept for later turns; the library's own bound is sixteen times that
COMPLAINTS_S, QUIET_S = 2.0, 0.1  # how long to wait for the reason of a failed load, and after its last line
ERRORS_ONLY = 1  # of what it prints
# That of each token, which tells when it is no number; before the sampling it would cost 4 % of the speed.
PROBABILITIES = {"n_probs": 1, "post_sampling_probs": True}


@dataclass(frozen=True)
class Loaded:
    """The library's server, and who asks it over its port."""

    server: Any
    ask: Callable[..., Any]
    tokens: Tokens
    slots: Slots


def load(options: dict[str, Any]) -> tuple[Loaded, dict[str, Any]]:
    """The server for {path, context, kv, slots, batch, threads, gpu_layers, adapters}, and what the model is."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["path"]
    params.n_ctx, params.n_parallel = options["context"] * options["slots"], options["slots"]
    params.n_batch = params.n_ubatch = options["batch"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options["threads"]
    params.n_gpu_layers = options["gpu_layers"]
    params.cache_type_k = params.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{options['kv'].upper()}")
    if options["kv"] != "f16":  # values that are quantized are read by flash attention only
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.check_tensors = True  # for NaN and infinity
    key = secrets.token_urlsafe(24)  # the server also listens on a loopback port
    params.api_keys, params.ui, params.verbosity = [key], False, ERRORS_ONLY
    params.cache_ram_mib = KEPT_MIB
    if options["adapters"]:
        params.cache_ram_mib = 0  # prompts that it keeps beside the slots are not told apart by their adapters
        params.lora_init_without_apply = True
        params.lora_adapters = [_adapter(path) for path in options["adapters"]]
    server = xllamacpp.Server(params)

    def ask(path: str, body: dict[str, Any] | None = None) -> Any:
        return _ask(server.listening_address + path, key, body)

    props = ask("/props")
    (model,) = ask("/v1/models")["data"]
    return (
        Loaded(server, ask, Tokens(ask, props["bos_token"]), Slots(options["slots"])),
        {
            "context": props["default_generation_settings"]["n_ctx"],  # the library rounds it up
            "bytes": model["meta"]["size"],
            "resident": resident_bytes(),
        },
    )


def _adapter(path: str) -> Any:
    import xllamacpp

    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = path, 0.0
    return adapter


def _ask(url: str, key: str, body: dict[str, Any] | None = None) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as answer:
        return json.load(answer)


class Batch:
    """Puts the texts of tokens that come faster than BATCH_S into one chunk, with their number as `tokens`.

    Each line wakes threads of the app, which take the cores from the threads that decode.
    """

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        self._say = say
        self._held: list[dict[str, Any]] = []
        self._said = 0.0

    def add(self, chunk: dict[str, Any]) -> None:
        """Hold a token's text for a moment, or say what is held and then this chunk."""
        choices = chunk.get("choices") or [{"finish_reason": "none"}]
        if "prompt_progress" in chunk or choices[0]["finish_reason"]:
            self._flush()
            self._say(chunk)
            return
        self._held.append(chunk)
        if time.monotonic() - self._said >= BATCH_S:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            piece = {"text": "".join(each["choices"][0]["text"] for each in self._held), "finish_reason": None}
            told: dict[str, Any] = {"tokens": sum(each.get("tokens", 1) for each in self._held)}
            if "thinking" in (last := self._held[-1]):
                told |= {name: "".join(each[name] for each in self._held) for name in ("thought", "written")}
                told |= {name: last[name] for name in ("thinking", "in_thought")}
            self._say({"choices": [piece], **told})
            self._held, self._said = [], time.monotonic()


def is_finite(chunk: dict[str, Any]) -> bool:
    """Whether the probabilities of a chunk's tokens are numbers; JSON spells others as null."""
    told = [choice.get("logprobs") or {} for choice in chunk.get("choices") or ()]
    return all(token["prob"] is not None for each in told for token in each.get("content") or ())


def answer(
    server: Any, tokens: Tokens, request: dict[str, Any], hand: Callable[[dict[str, Any]], None], stop: threading.Event
) -> None:
    """Hand on the chunks of an answer until it ends or is to stop; raises EmptyPrompt, NotFinite."""
    memory = PeakMemory()
    memory.start()
    batch = Batch(hand)
    broken = False

    def run(ids: list[int], see: Callable[[dict[str, Any]], bool]) -> None:
        def on_chunk(chunk: dict[str, Any]) -> bool:
            nonlocal broken
            broken = broken or not is_finite(chunk)
            return broken or see(chunk) or stop.is_set()

        server.handle_completions({**request, "prompt": ids, **PROBABILITIES}, on_chunk)

    def put(chunk: dict[str, Any]) -> bool:
        if "timings" in chunk or "prompt_progress" in chunk:
            chunk["peak_bytes"] = memory.read()
        batch.add(chunk)
        return stop.is_set()

    ids = tokens.of(request.pop("prompt"), request.pop("rendered"))
    if thoughts := request.pop("thoughts", None):
        longest = request.pop("longest")
        request |= COUNTS
        ThinkingAnswer(tokens, thoughts_from(thoughts), longest, put).compute(ids, run)
    else:
        run(ids, put)
    if broken:
        raise NotFinite(during="while answering")


def serve(loaded: Loaded, lines: Any, say: Callable[[dict[str, Any]], None]) -> None:
    """Compute each request in a thread of its own until the lines end."""
    stops: dict[int, threading.Event] = {}

    def compute(number: int, kind: str, message: dict[str, Any]) -> None:
        def hand(chunk: dict[str, Any]) -> None:
            say({"number": number, "chunk": chunk})

        def told(acting: list[float]) -> None:
            if kind == "request":
                hand({"acting": acting})

        server, scales = loaded.server, message["scales"]
        if scales is not None:
            server = AdaptedServer(server, loaded.ask, loaded.slots, scales, told)
        during = "while scoring" if kind == "score" else "while answering"
        try:
            (score if kind == "score" else answer)(server, loaded.tokens, message[kind], hand, stops[number])
        except Exception as error:
            say({"number": number, "failure": translate(error, during).to_dict()})
        say({"number": number, "chunk": None})
        del stops[number]

    for line in lines:
        message = json.loads(line)
        if "stop" in message:
            if stop := stops.get(message["stop"]):
                stop.set()
            continue
        stops[message["number"]] = threading.Event()
        kind = "score" if "score" in message else "request"
        threading.Thread(target=compute, args=(message["number"], kind, message), daemon=True).start()


def wait_for_complaints() -> None:
    """Until what the library prints on standard error, from a thread of its own, is there."""
    size, deadline = -1, time.monotonic() + COMPLAINTS_S
    while time.monotonic() < deadline:
        before, size = size, os.fstat(2).st_size
        if size == before > 0:
            return
        time.sleep(QUIET_S)


@contextmanager
def ended_with_its_input() -> Iterator[None]:
    """Meanwhile the system ends this process when its standard input is closed; no thread of Python runs in a load."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    before = fcntl.fcntl(0, fcntl.F_GETFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, before | os.O_ASYNC)  # by SIGIO, which nothing handles
    poll = select.poll()
    poll.register(0, 0)
    if poll.poll(0):  # it was closed before
        os._exit(0)
    try:
        yield
    finally:
        fcntl.fcntl(0, fcntl.F_SETFL, before)


def main() -> None:
    """Load, say how it went, serve."""
    # Our lines get a channel of their own: whatever the library prints goes to standard error.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    turn = threading.Lock()

    def say(message: dict[str, Any]) -> None:
        line = json.dumps(message) + "\n"
        with turn:
            channel.write(line)
            channel.flush()

    try:
        options = json.loads(sys.stdin.readline())
        with ended_with_its_input():
            loaded, facts = load(options)
    except Exception as error:
        wait_for_complaints()
        say({"failure": translate(error, "while loading the model").to_dict()})
        os._exit(1)
    say(facts)
    serve(loaded, sys.stdin, say)
    os._exit(0)  # without waiting for what is still being computed: nobody is there to read it


if __name__ == "__main__":
    main()
