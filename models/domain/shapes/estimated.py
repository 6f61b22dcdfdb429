"""A decoder that no table describes, as far as its config.json tells: caches by the kinds of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fields import Fields
from .parts import ATTENTION, AttentionForm, attention, dense, experts
from .shape import Layer, Shape

KINDS = "layer_types"
# Beginnings of fields that a config has where its layers, or some of them, keep a state beside keys and values.
STATES = {"mamba_": "Mamba", "ssm_": "Mamba", "lru_width": "RG-LRU", "linear_": "linear attention"}


def estimated_shape(config: Mapping[str, Any]) -> Shape:
    """The layers by the fields that most configs have; raises BadConfig where one of them is missing.

    How many parameters there are, the headers of its files tell; here only their kinds are told apart. Of a layer of a
    kind that is not known, what it keeps is not counted.
    """
    c = Fields(config, {})
    count, hidden = c.size("num_hidden_layers"), c.size("hidden_size")
    window = c.size("sliding_window", 0) or c.size("attention_chunk_size", 0)
    stated = config.get(KINDS)
    usual = "sliding_attention" if c.size("sliding_window", 0) else "full_attention"
    kinds = (
        [str(kind)[:40] for kind in stated] if isinstance(stated, list) and len(stated) == count else [usual] * count
    )
    width = c.size("intermediate_size", 4 * hidden)
    number = c.size("num_experts", 0) or c.size("n_routed_experts", 0)
    if number:
        act = experts(c, "mlp", number, c.size("num_experts_per_tok", 1), c.size("moe_intermediate_size", width))
    else:
        act = dense(c, width)
    states = {kind for sign, kind in STATES.items() if any(name.startswith(sign) for name in config)}
    uncounted = {kind for kind in kinds if kind not in ATTENTION} or states
    # Latent attention (DeepSeek) keeps what keys and values are made of: arXiv:2405.04434, section 2.1.
    latent = c.size("kv_lora_rank", 0) and c.size("kv_lora_rank") + c.size("qk_rope_head_dim", 0)
    layers = []
    for kind in kinds:
        mixer = attention(c, kind if kind in ATTENTION else "full_attention", AttentionForm(), window)
        weights = (*mixer.weights, *act.weights)
        if kind in ATTENTION:
            kept = {"kv_width": latent or mixer.kv_width, "window": mixer.window}
            layers.append(Layer(mixer.kind, weights, act.width, act.experts, act.active, **kept))
        else:
            layers.append(Layer("unknown", weights, act.width, act.experts, act.active))
    return Shape(
        model_type=str(config.get("model_type"))[:40],
        hidden=hidden,
        heads=c.size("num_attention_heads"),
        vocabulary=c.size("vocab_size"),
        tied_embeddings=c.flag("tie_word_embeddings"),
        layers=tuple(layers),
        outside=(),
        estimated=True,
        uncounted=tuple(sorted(uncounted)),
    )
