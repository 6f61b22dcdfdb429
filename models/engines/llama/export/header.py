"""What a GGUF file says of a decoder, by its config.json.

Source: the conversions of llama.cpp's convert_hf_to_gguf.py for these architectures, and gguf-py's constants.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....domain.errors import CannotExport
from ....domain.llama_names import ARCHITECTURES
from ....domain.lora import shown
from ....system.files import read_object

# gemma3 has adapters only: its weights are changed as they are written, and nobody has held that against it here.
WRITTEN = tuple(kind for kind in ARCHITECTURES if kind != "gemma3_text")
_LARGEST_CONFIG = 1_000_000
_ROTARY = ("default", "linear", "yarn", "llama3")


@dataclass(frozen=True)
class Decoder:
    """The architecture, its values in a GGUF file without their prefix, and tensors that are computed from the config.

    `head` is the size of a head.
    """

    architecture: str
    values: dict[str, int | float | str]
    head: int
    vocabulary: int
    tied: bool
    tensors: dict[str, Any] = field(default_factory=dict)


def read_decoder(folder: Path) -> Decoder:
    """The decoder that a folder's config.json describes; raises CannotExport with the reason."""
    from transformers import AutoConfig

    stated = read_object(folder / "config.json", _LARGEST_CONFIG)
    kind = str(stated.get("model_type"))
    if kind not in WRITTEN:
        raise CannotExport(
            reason=f"the architecture {shown(kind)} is not written as GGUF here, only {', '.join(WRITTEN)}"
        )
    config = AutoConfig.for_model(**stated)
    if (act := config.hidden_act) != "silu":
        raise CannotExport(reason=f"its activation {shown(act)} is not that of its architecture in llama.cpp")
    if getattr(config, "use_sliding_window", False):
        raise CannotExport(reason="some of its layers have a sliding window, which llama.cpp does not know of them")
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    window = config.sliding_window if kind == "mistral" else None  # which llama.cpp does not have: no longer texts then
    values: dict[str, int | float | str] = {
        "vocab_size": config.vocab_size,
        "context_length": min(config.max_position_embeddings, window or config.max_position_embeddings),
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": config.num_key_value_heads or heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head,
    }
    rope, tensors = _rotary(config.rope_parameters or {}, head)
    tied = bool(config.tie_word_embeddings)
    return Decoder(ARCHITECTURES[kind], values | rope, head, config.vocab_size, tied, tensors)


def _rotary(rope: dict[str, Any], head: int) -> tuple[dict[str, int | float | str], dict[str, Any]]:
    """The values of the rotary embeddings, and the factors of single frequencies where there are any."""
    kind, base = rope.get("rope_type", "default"), float(rope.get("rope_theta", 10_000.0))
    if kind not in _ROTARY or rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise CannotExport(reason=f"its rotary embeddings of the kind {shown(kind)} are not written as GGUF here")
    values: dict[str, int | float | str] = {"rope.freq_base": base}
    if kind == "llama3":
        return values, {"rope_freqs.weight": _llama3_factors(rope, base, head)}
    if kind != "default":
        values |= {"rope.scaling.type": kind, "rope.scaling.factor": float(rope["factor"])}
    if kind == "yarn":
        odd = {"attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow"} & rope.keys()
        if odd or "original_max_position_embeddings" not in rope:
            raise CannotExport(reason="its YaRN has values of its own, which are not written as GGUF here")
        values["rope.scaling.original_context_length"] = int(rope["original_max_position_embeddings"])
    return values, {}


def _llama3_factors(rope: dict[str, Any], base: float, head: int) -> Any:
    """What each frequency is divided by (transformers' modeling_rope_utils, as llama.cpp's conversion does it)."""
    import numpy

    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    before = rope["original_max_position_embeddings"]
    found = []
    for place in range(0, head, 2):
        wavelength = 2 * math.pi * base ** (place / head)
        if wavelength < before / high:
            found.append(1.0)
        elif wavelength > before / low:
            found.append(factor)
        else:
            smooth = (before / wavelength - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return numpy.array(found, numpy.float32)
