"""What share of the memory's bandwidth decoding reaches on this CPU: the constants of models/domain/memory/speed.py."""

from __future__ import annotations

import statistics

from models.domain.memory.speed import token_bytes
from models.domain.messages import Delta, Message, Sampling
from models.domain.request import ChatRequest
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.runtime import Runtime
from models.system.bandwidth import read_bandwidth

from .report import print_table

MODELS = ("smollm2-135m-instruct", "gemma-3-270m")
MODES = ("gguf", "gguf-q8_0", "fp32", "bf16", "int8", "nf4", "dynamic-int8")
QUESTION = "Write a long story about a lighthouse keeper."


def efficiency(new_tokens: int, repeats: int) -> None:
    """A row a model and a mode: bytes read for a token, tokens a second, and the share of the bandwidth."""
    settings, rows = Settings.from_env(), []
    runtime, bandwidth = Runtime(settings), read_bandwidth(settings.compute_threads)
    for model in MODELS:
        for name in MODES:
            variant = Variant(model, name)
            card = runtime.card(variant)
            try:
                _, mode = runtime.resolve(variant, card)
                speeds = [_decode(runtime, variant, new_tokens) for _ in range(repeats)]
            except Exception as error:  # a mode that this machine cannot run has no row
                rows.append([f"{variant}", str(error)[:60], "", ""])
                continue
            read, speed = token_bytes(card, mode), statistics.median(speeds)
            rows.append([f"{variant}", f"{read / 1e6:.0f} MB", f"{speed:.1f} tok/s", f"{read * speed / bandwidth:.2f}"])
            for line in runtime.held():
                runtime.eject(line.name)
    print(f"### efficiency: of {bandwidth / 1e9:.1f} GB/s that this machine reads\n")
    print_table(["variant", "read a token", "decode", "share"], rows)


def _decode(runtime: Runtime, variant: Variant, new_tokens: int) -> float:
    request = ChatRequest(variant, (Message("user", QUESTION),), Sampling(max_new_tokens=new_tokens, temperature=0))
    last = [event for event in runtime.answer(request) if isinstance(event, Delta)][-1]
    return last.usage.decode_tokens_per_s
