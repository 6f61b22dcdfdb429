"""Gemma 4: two widths of heads, layers that share the keys of others, an embedding table a layer, maybe experts."""

from __future__ import annotations

from dataclasses import dataclass

from .families import FOUR_NORMS, Family
from .fields import BadConfig, Fields
from .parts import ATTENTION, FeedForward, Mixer, Weights, dense, experts, joined, linear, norm
from .shape import Weight


def _kinds(c: Fields, layers: int) -> list[str]:
    return ["sliding_attention" if (i + 1) % 6 and i + 1 < layers else "full_attention" for i in range(layers)]


def _shares(c: Fields, number: int) -> bool:
    """Whether a layer takes keys and values from an earlier one."""
    return number >= c.size("num_hidden_layers") - c.size("num_kv_shared_layers", 0)


def _heads(c: Fields, number: int, full: bool) -> tuple[int, int]:
    """The width of a layer's heads, and how many of keys and values there are.

    A config says it of the layers that see all, or, as transformers 5.23 writes it, of each layer by its number.
    """
    size, groups = c.size("head_dim"), c.size("num_key_value_heads", c.size("num_attention_heads"))
    stated = c.given("per_layer_config")
    if isinstance(stated, dict):
        own = stated.get(str(number))
        own = own if isinstance(own, dict) else {}
        groups = c.checked("num_key_value_heads", own.get("num_key_value_heads", groups))
        return c.checked("head_dim", own.get("head_dim", size)), groups
    if full and c.flag("attention_k_eq_v"):
        groups = c.size("num_global_key_value_heads", groups)
    return c.size("global_head_dim") if full else size, groups


def _attention(c: Fields, number: int, kind: str) -> Mixer:
    hidden, heads, full = c.size("hidden_size"), c.size("num_attention_heads"), kind == "full_attention"
    one = full and c.flag("attention_k_eq_v")  # keys are the values too
    size, groups = _heads(c, number, full)
    bias, shares = c.flag("attention_bias"), _shares(c, number)
    weights: Weights = (*linear("self_attn.q_proj", heads * size, hidden, bias), norm("self_attn.q_norm", size))
    for name in () if shares else ("k_proj",) if one else ("k_proj", "v_proj"):
        weights += linear(f"self_attn.{name}", groups * size, hidden, bias)
    if not shares:
        weights += (norm("self_attn.k_norm", size),)
    weights += linear("self_attn.o_proj", hidden, heads * size, bias)
    return Mixer(ATTENTION[kind], weights, 0 if shares else 2 * groups * size, 0 if full else c.size("sliding_window"))


def _feed_forward(c: Fields, number: int) -> FeedForward:
    double = 2 if c.flag("use_double_wide_mlp") and _shares(c, number) else 1
    found = dense(c, double * c.size("intermediate_size"))
    hidden, small = c.size("hidden_size"), c.size("hidden_size_per_layer_input", 0)
    if c.flag("enable_moe_block"):
        count = c.size("num_experts")
        found = joined(
            found,
            experts(c, "", count, c.size("top_k_experts"), c.size("moe_intermediate_size")),
            linear("router.proj", count, hidden),
            (Weight("router.scale", (hidden,)), Weight("router.per_expert_scale", (count,))),
            tuple(norm(f"{name}_layernorm_{n}", hidden) for name, n in _EXPERT_NORMS),
        )
    if small:
        gate = linear("per_layer_input_gate", small, hidden) + linear("per_layer_projection", hidden, small)
        found = joined(found, gate, (norm("post_per_layer_input_norm", hidden),))
    return found


_EXPERT_NORMS = (("post_feedforward", 1), ("post_feedforward", 2), ("pre_feedforward", 2))


def _outside(c: Fields) -> Weights:
    small = c.size("hidden_size_per_layer_input", 0)
    if not small:
        return ()
    width = c.size("num_hidden_layers") * small
    table = Weight("embed_tokens_per_layer.weight", (c.size("vocab_size_per_layer_input"), width), "table")
    projection = linear("per_layer_model_projection", width, c.size("hidden_size"))
    return (table, *projection, norm("per_layer_projection_norm", small))


@dataclass(frozen=True)
class _Gemma4(Family):
    def layer(self, c: Fields, number: int, kind: str) -> tuple[Mixer, FeedForward, Weights]:
        if c.size("num_kv_shared_layers", 0) >= c.size("num_hidden_layers"):
            raise BadConfig("num_kv_shared_layers in its config.json is not less than its layers")
        norms = super().layer(c, number, kind)[2]
        return _attention(c, number, kind), _feed_forward(c, number), norms


GEMMA4 = _Gemma4(
    "Gemma4ForCausalLM",
    {
        "num_key_value_heads": 4,
        "head_dim": 256,
        "global_head_dim": 512,
        "tie_word_embeddings": True,
        "sliding_window": 512,
        "vocab_size_per_layer_input": 262_144,
        "hidden_size_per_layer_input": 256,
    },
    kinds=_kinds,
    norms=FOUR_NORMS,
    outside=_outside,
    window="sliding_window",
)
