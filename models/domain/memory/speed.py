"""How fast a variant will decode, from the bytes that a token reads and the bandwidth of the memory: an estimate.

Decoding one conversation is bound by memory: each token reads all weights that it uses and the keys and values before
it. What share of the bandwidth an engine reaches is its efficiency.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog import ModelCard
from ..quantization import Accelerator, Mode, Packing
from .bytes import weight_bytes
from .plan import kv_bytes

KV_TOKENS = 1_024  # of the conversation so far, whose keys and values are read
# (low, high) share of the bandwidth on a GPU: what llama.cpp's own tables and transformers' users report, not measured
# here; transformers launches each kernel separately, which costs small models most.
EFFICIENCY: dict[tuple[str, Accelerator], tuple[float, float]] = {
    ("llama.cpp", "cuda"): (0.5, 0.8),
    ("llama.cpp", "mps"): (0.5, 0.8),
    ("transformers", "cuda"): (0.2, 0.6),
    ("transformers", "mps"): (0.15, 0.5),
}
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
LAUNCH_S = {"llama.cpp": 0.0005, "transformers": 0.012}  # a token takes at least, on a GPU


@dataclass(frozen=True)
class Speed:
    """Tokens a second, as a range; `token_bytes` are read for each, of `bandwidth` bytes a second."""

    low: float
    high: float
    token_bytes: int
    bandwidth: float


def token_bytes(card: ModelCard, mode: Mode, context: int = KV_TOKENS) -> int:
    """Bytes that one token reads: every weight but the embedding table, of which it reads a row, unless it is the head.

    Of the cache, the keys and values of `context` tokens.
    """
    parts = weight_bytes(card, mode)
    shape = card.sizes
    table = round(shape.embedding_parameters * mode.bits / 8) if mode.form == "gguf" else parts["embeddings"]
    unread = 0 if shape.tied_embeddings else table
    return max(0, sum(parts.values()) - unread) + kv_bytes(shape, mode, context)


def decode_speed(card: ModelCard, mode: Mode, accelerator: Accelerator, bandwidth: float) -> Speed | None:
    """The estimate; None where the bandwidth is not known, or the weights are not here to be read."""
    if not bandwidth or mode.form == "remote":
        return None
    engine = "llama.cpp" if mode.form == "gguf" else "transformers"
    read = token_bytes(card, mode)
    launch = 0.0 if accelerator == "cpu" else LAUNCH_S[engine]
    shares = CPU_EFFICIENCY[mode.packing] if accelerator == "cpu" else EFFICIENCY[engine, accelerator]
    low, high = (1 / (read / (bandwidth * share) + launch) for share in shares)
    return Speed(low, high, read, bandwidth)
