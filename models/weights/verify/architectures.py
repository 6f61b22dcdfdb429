"""The decoder architectures that are loaded, and how each one's config.json spells its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...domain.catalog import Shape
from ...domain.errors import UnsafeWeights


@dataclass(frozen=True)
class Architecture:
    """What a config.json may leave out, and the parameters that a Llama layer does not have."""

    model_type: str  # by which a loader builds the model; it does not look at the architecture
    tied_embeddings: bool = False
    head_dim: int | None = None  # None: hidden / heads
    kv_heads: int | None = None  # None: as many as heads
    qkv_bias: bool = False
    attention_bias: bool = True  # whether config.json may ask for one, of the output too
    mlp_bias: bool = False  # likewise, of the feed-forward
    norms_per_layer: int = 2
    qk_norm: bool = False
    fused: bool = False  # one matrix for query, key and value, and one for gate and up


ARCHITECTURES: dict[str, Architecture] = {
    "LlamaForCausalLM": Architecture("llama", mlp_bias=True),
    "MistralForCausalLM": Architecture("mistral", kv_heads=8, attention_bias=False),
    "Qwen2ForCausalLM": Architecture("qwen2", kv_heads=32, qkv_bias=True, attention_bias=False),
    "Qwen3ForCausalLM": Architecture("qwen3", kv_heads=32, head_dim=128, qk_norm=True),
    "SmolLM3ForCausalLM": Architecture("smollm3", kv_heads=4, tied_embeddings=True, mlp_bias=True),
    "GraniteForCausalLM": Architecture("granite", mlp_bias=True),
    "Phi3ForCausalLM": Architecture("phi3", attention_bias=False, fused=True),
    "GemmaForCausalLM": Architecture("gemma", kv_heads=16, head_dim=256, tied_embeddings=True),
    "Gemma2ForCausalLM": Architecture("gemma2", kv_heads=4, head_dim=256, tied_embeddings=True, norms_per_layer=4),
    "Gemma3ForCausalLM": Architecture(
        "gemma3_text", kv_heads=4, head_dim=256, tied_embeddings=True, norms_per_layer=4, qk_norm=True
    ),
}

# Wide enough for any model published so far, narrow enough that a forged config cannot ask for absurd memory.
BOUNDS: dict[str, tuple[int, int]] = {
    "num_hidden_layers": (1, 512),
    "hidden_size": (8, 65_536),
    "num_attention_heads": (1, 1024),
    "num_key_value_heads": (1, 1024),
    "head_dim": (2, 4096),
    "intermediate_size": (8, 1_048_576),
    "vocab_size": (16, 4_194_304),
    "max_position_embeddings": (16, 134_217_728),
}


def read_architecture(config: dict[str, Any], model: str) -> str:
    """The one architecture that a config names; raises UnsafeWeights when it is not in the table."""
    named = config.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        raise UnsafeWeights(model=model, reason="its config.json does not name one architecture")
    if named[0] not in ARCHITECTURES:
        raise UnsafeWeights(model=model, reason=f"its architecture {named[0][:60]} is not one that this app loads")
    return named[0]


def check_model_type(config: dict[str, Any], model: str) -> None:
    """Raise UnsafeWeights when a config calls its model otherwise than the architecture that it names."""
    name = read_architecture(config, model)
    kind = config.get("model_type")
    if kind is not None and kind != ARCHITECTURES[name].model_type:
        raise UnsafeWeights(
            model=model, reason=f"its config.json says {name}, and a model type of another ({str(kind)[:40]})"
        )


def read_shape(config: dict[str, Any], model: str) -> Shape:
    """The sizes of a model from its config.json; raises UnsafeWeights when one is missing or absurd."""
    known = ARCHITECTURES[read_architecture(config, model)]
    heads, hidden = _size(config, "num_attention_heads", model), _size(config, "hidden_size", model)
    kv_heads = _size(config, "num_key_value_heads", model, known.kv_heads or heads)
    if heads % kv_heads:
        raise UnsafeWeights(model=model, reason=f"its {heads} heads cannot share {kv_heads} key-value heads")
    attention_bias = known.attention_bias and _flag(config, "attention_bias", model, False)
    return Shape(
        layers=_size(config, "num_hidden_layers", model),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_size(config, "head_dim", model, known.head_dim or hidden // heads),
        intermediate=_size(config, "intermediate_size", model),
        vocabulary=_size(config, "vocab_size", model),
        tied_embeddings=_flag(config, "tie_word_embeddings", model, known.tied_embeddings),
        qkv_bias=known.qkv_bias or attention_bias,
        o_bias=attention_bias,
        mlp_bias=known.mlp_bias and _flag(config, "mlp_bias", model, False),
        norms_per_layer=known.norms_per_layer,
        qk_norm=known.qk_norm,
    )


def read_context(config: dict[str, Any], model: str) -> int:
    """The context length in tokens that a config.json declares; raises UnsafeWeights."""
    return _size(config, "max_position_embeddings", model)


def _size(config: dict[str, Any], name: str, model: str, default: int | None = None) -> int:
    value = config.get(name)
    if value is None:
        value = default
    low, high = BOUNDS[name]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        shown = str(value)[:40]
        raise UnsafeWeights(
            model=model, reason=f"{name} in its config.json is {shown}, not a number of {low} to {high}"
        )
    return value


def _flag(config: dict[str, Any], name: str, model: str, default: bool) -> bool:
    value = config.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise UnsafeWeights(model=model, reason=f"{name} in its config.json is neither true nor false")
    return value
