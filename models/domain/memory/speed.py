"""How fast a variant will decode, from the bytes that a token reads and the bandwidth of the memory: an estimate.

Decoding one conversation is bound by memory: each token reads all weights that it uses and the keys and values before
it. What share of the bandwidth an engine reaches is its efficiency.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog import ModelCard
from ..quantization import Accelerator, Mode, Packing
from .bytes import weight_bytes
from .plan import kv_bytes, state_bytes

KV_TOKENS = 1_024  # of the conversation so far, whose keys and values are read
# (low, high) share of the bandwidth on a GPU: what llama.cpp's own tables and transformers' users report.
EFFICIENCY: dict[tuple[str, Accelerator], tuple[float, float]] = {
    ("llama.cpp", "cuda"): (0.5, 0.8),
    ("llama.cpp", "mps"): (0.5, 0.8),
    ("transformers", "cuda"): (0.2, 0.6),
    ("transformers", "mps"): (0.15, 0.5),
}
# (high, low) seconds that a layer takes at least with transformers on a GPU, which waits for one kernel after another
# to be launched: `python -m tests.bench.gpu` on an H200; the slower end has room for hosts with a slower CPU.
LAUNCH_S: dict[Packing, tuple[float, float]] = {
    "plain": (1.0e-3, 0.5e-3),
    "dynamic-int8": (1.5e-3, 0.8e-3),
    "4-bit": (1.6e-3, 0.8e-3),
    "4-bit-double": (1.8e-3, 0.9e-3),
    "grouped": (1.6e-3, 0.8e-3),
    "llm-int8": (3.5e-3, 1.9e-3),
}
LLAMA_LAUNCH_S = 0.5e-3  # a token takes at least with llama.cpp on a GPU
# The same on a CPU, where unpacking costs more than reading: `python -m tests.bench efficiency`, 2 cores.
CPU_EFFICIENCY: dict[Packing, tuple[float, float]] = {
    "gguf": (0.25, 0.7),
    "plain": (0.2, 0.6),
    "dynamic-int8": (0.15, 0.5),
    "4-bit": (0.06, 0.2),
    "4-bit-double": (0.06, 0.2),
    "grouped": (0.06, 0.2),
    "llm-int8": (0.04, 0.15),
}


@dataclass(frozen=True)
class Speed:
    """Tokens a second, as a range; `token_bytes` are read for each, of `bandwidth` bytes a second."""

    low: float
    high: float
    token_bytes: int
    bandwidth: float


def token_bytes(card: ModelCard, mode: Mode, context: int = KV_TOKENS) -> int:
    """Bytes that one token reads: every weight but tables, of which it reads a row, unless they are the head too.

    Of a mixture only the experts that it is routed to. Of the cache, the keys and values of `context` tokens and all
    state.
    """
    parts = weight_bytes(card, mode)
    shape = card.sizes
    kept = kv_bytes(shape, mode, context) + state_bytes(shape, mode)
    if card.stored and card.stored.shape:
        return card.stored.weights - card.stored.unread + kept
    per_value = mode.bits / 8 if mode.form == "gguf" else mode.rest_bytes
    tables = shape.counted("table") + (0 if shape.tied_embeddings else shape.embedding_parameters)
    unused = shape.parameters - shape.active_parameters
    read = sum(parts.values()) - round(per_value * (tables + unused))
    return max(0, read) + kept


def decode_speed(card: ModelCard, mode: Mode, accelerator: Accelerator, bandwidth: float) -> Speed | None:
    """The estimate; None where the bandwidth is not known, or the weights are not here to be read."""
    if not bandwidth or mode.form == "remote":
        return None
    engine = "llama.cpp" if mode.form == "gguf" else "transformers"
    read = token_bytes(card, mode)
    shares = CPU_EFFICIENCY[mode.packing] if accelerator == "cpu" else EFFICIENCY[engine, accelerator]
    low, high = (
        1 / (read / (bandwidth * share) + launch)
        for share, launch in zip(shares, _launches(card, mode, accelerator), strict=True)
    )
    return Speed(low, high, read, bandwidth)


def _launches(card: ModelCard, mode: Mode, accelerator: Accelerator) -> tuple[float, float]:
    """Seconds that a token takes at least, whatever it reads: the most, and the least."""
    if accelerator == "cpu":
        return 0.0, 0.0
    if mode.form == "gguf":
        return LLAMA_LAUNCH_S, LLAMA_LAUNCH_S
    slow, fast = LAUNCH_S[mode.packing]
    return slow * len(card.sizes.layers), fast * len(card.sizes.layers)
