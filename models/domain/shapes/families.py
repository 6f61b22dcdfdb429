"""The architectures that are counted exactly, each as its model class in transformers 5.23 is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import BadConfig, Fields
from .parts import (
    ATTENTION,
    AttentionForm,
    FeedForward,
    Mixer,
    Weights,
    attention,
    dense,
    experts,
    gated_delta_net,
    joined,
    linear,
    mamba,
    norm,
    short_convolution,
)
from .shape import Weight

LLAMA = AttentionForm()
TWO_NORMS = ("input_layernorm", "post_attention_layernorm")
FOUR_NORMS = (*TWO_NORMS, "pre_feedforward_layernorm", "post_feedforward_layernorm")


@dataclass(frozen=True)
class Family:
    """How one model type is built. `defaults` are those of its config class, where they are not the same for all.

    `kinds` names the kind of each layer where config.json does not, `mixer` makes one of a kind, `feed_forward` that
    of the layer of a number. `outside` are weights beside the embeddings and the last norm.
    """

    architecture: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    form: AttentionForm = LLAMA
    kinds: Callable[[Fields, int], list[str]] = lambda c, layers: ["full_attention"] * layers
    mixers: Mapping[str, Callable[[Fields], Mixer]] = field(default_factory=dict)  # beside attention, by its kind
    feed_forward: Callable[[Fields, int], FeedForward] = lambda c, layer: dense(c, c.size("intermediate_size"))
    norms: tuple[str, ...] = TWO_NORMS
    last_norm: str = "norm"
    outside: Callable[[Fields], Weights] = lambda c: ()
    window: str = ""  # the field that states it; empty where no layer has one

    def layer(self, c: Fields, number: int, kind: str) -> tuple[Mixer, FeedForward, Weights]:
        """Mixer, feed-forward and norms of a layer."""
        window = c.size(self.window, 0) if self.window else 0
        mixer = attention(c, kind, self.form, window) if kind in ATTENTION else self.mixers[kind](c)
        norms = tuple(norm(name, c.size("hidden_size")) for name in self.norms)
        return mixer, self.feed_forward(c, number), norms


def _every(period: int) -> Callable[[Fields, int], list[str]]:
    """Of so many layers the last one sees all."""
    return lambda c, layers: ["sliding_attention" if (i + 1) % period else "full_attention" for i in range(layers)]


def _gemma3_kinds(c: Fields, layers: int) -> list[str]:
    return _every(max(1, c.size("sliding_window_pattern", 6)))(c, layers)


def _window_everywhere(c: Fields, layers: int) -> list[str]:
    return ["sliding_attention" if c.size("sliding_window", 0) else "full_attention"] * layers


def _qwen_kinds(c: Fields, layers: int) -> list[str]:
    if not c.flag("use_sliding_window") or not c.size("sliding_window", 0):
        return ["full_attention"] * layers
    first = c.size("max_window_layers")
    return ["sliding_attention" if i >= first else "full_attention" for i in range(layers)]


def _qwen_moe_kinds(c: Fields, layers: int) -> list[str]:
    return _window_everywhere(c, layers) if c.flag("use_sliding_window") else ["full_attention"] * layers


def _smollm3_kinds(c: Fields, layers: int) -> list[str]:
    if not c.flag("use_sliding_window") or not c.size("sliding_window", 0):
        return ["full_attention"] * layers
    return ["full_attention" if rope else "sliding_attention" for rope in _rope_layers(c, layers)]


def _llama4_kinds(c: Fields, layers: int) -> list[str]:
    return ["chunked_attention" if rope else "full_attention" for rope in _rope_layers(c, layers)]


def _rope_layers(c: Fields, layers: int) -> list[int]:
    stated = c.numbers("no_rope_layers")  # in spite of its name it has a 1 for each layer with rotary embeddings
    interval = max(1, c.size("no_rope_layer_interval", 4))
    return stated or [int((i + 1) % interval != 0) for i in range(layers)]


def _hybrid_kinds(c: Fields, layers: int) -> list[str]:
    interval = max(1, c.size("full_attention_interval", 4))
    return ["linear_attention" if (i + 1) % interval else "full_attention" for i in range(layers)]


def _lfm2_kinds(c: Fields, layers: int) -> list[str]:
    full = c.numbers("full_attn_idxs")
    return ["full_attention" if full is None or i in full else "conv" for i in range(layers)]


def _with_stated_bias(c: Fields, layer: int) -> FeedForward:
    return dense(c, c.size("intermediate_size"), bias=c.flag("mlp_bias"))


def _qwen_experts(c: Fields) -> FeedForward:
    count, active = c.size("num_experts"), c.size("num_experts_per_tok")
    found = experts(c, "mlp", count, active, c.size("moe_intermediate_size"))
    return joined(found, (Weight("mlp.gate.weight", (count, c.size("hidden_size"))),))


def _qwen3_moe(c: Fields, layer: int) -> FeedForward:
    step, dense_layers = max(1, c.size("decoder_sparse_step", 1)), c.numbers("mlp_only_layers") or []
    if layer in dense_layers or (layer + 1) % step or not c.size("num_experts"):
        return dense(c, c.size("intermediate_size"))
    return _qwen_experts(c)


def _qwen_shared(c: Fields, layer: int) -> FeedForward:
    shared = dense(c, c.size("shared_expert_intermediate_size"), "mlp.shared_expert")
    return joined(_qwen_experts(c), shared, linear("mlp.shared_expert_gate", 1, c.size("hidden_size")))


def _qwen3_next(c: Fields, layer: int) -> FeedForward:
    found = _qwen3_moe(c, layer)
    return _qwen_shared(c, layer) if found.experts else found


def _granite_hybrid(c: Fields, layer: int) -> FeedForward:
    names = ("input_linear", "", "output_linear")
    shared = dense(c, c.size("shared_intermediate_size"), "shared_mlp", names)
    count, hidden = c.size("num_local_experts", 0), c.size("hidden_size")
    if not count:
        return shared
    found = experts(c, "block_sparse_moe", count, c.size("num_experts_per_tok"), c.size("intermediate_size"))
    return joined(found, shared, (Weight("block_sparse_moe.router.weight", (count, hidden)),))


def _gpt_oss(c: Fields, layer: int) -> FeedForward:
    count, width, hidden = c.size("num_local_experts"), c.size("intermediate_size"), c.size("hidden_size")
    found = experts(c, "mlp", count, c.size("num_experts_per_tok"), width, transposed=True)
    biases = {"router.bias": (count,), "experts.gate_up_proj_bias": (count, 2 * width)}
    biases |= {"experts.down_proj_bias": (count, hidden)}
    small = tuple(Weight(f"mlp.{name}", sizes) for name, sizes in biases.items())
    return joined(found, (Weight("mlp.router.weight", (count, hidden)), *small))


def _llama4(c: Fields, layer: int) -> FeedForward:
    count, step = c.size("num_local_experts"), max(1, c.size("interleave_moe_layer_step", 1))
    sparse = c.numbers("moe_layers")
    if layer not in sparse if sparse is not None else (layer + 1) % step:
        return dense(c, c.size("intermediate_size_mlp"), "feed_forward")
    width = c.size("intermediate_size")
    found = experts(c, "feed_forward", count, c.size("num_experts_per_tok"), width, transposed=True)
    # The router is a linear module of a kind of its own: modes leave it as it is.
    router = (Weight("feed_forward.router.weight", (count, c.size("hidden_size"))),)
    return joined(found, dense(c, width, "feed_forward.shared_expert"), router)


_LFM2_NAMES = ("w1", "w3", "w2")


def _lfm2(c: Fields, layer: int) -> FeedForward:
    width = c.size("block_ff_dim", c.size("intermediate_size"))
    if c.flag("block_auto_adjust_ff_dim", True):
        factor = c.given("block_ffn_dim_multiplier")
        if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int | float) or factor > 100):
            raise BadConfig(f"block_ffn_dim_multiplier in its config.json is {str(factor)[:40]}, not a small number")
        multiple = max(1, c.size("block_multiple_of"))
        width = int(2 * width / 3)
        if factor is not None:
            width = multiple * ((int(factor * width) + multiple - 1) // multiple)
    return dense(c, width, "feed_forward", _LFM2_NAMES)


def _lfm2_moe(c: Fields, layer: int) -> FeedForward:
    if layer < c.size("num_dense_layers"):
        return dense(c, c.size("intermediate_size"), "feed_forward", _LFM2_NAMES)
    count = c.size("num_experts")
    found = experts(c, "feed_forward", count, c.size("num_experts_per_tok"), c.size("moe_intermediate_size"))
    return joined(found, (Weight("feed_forward.gate.weight", (count, c.size("hidden_size"))),))


_QWEN3 = AttentionForm(qk_norm="head")
_QWEN_GATED = AttentionForm(qk_norm="head", gated=True)
_DELTA: dict[str, Any] = {
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
}
_LFM2: dict[str, Any] = {"num_key_value_heads": 8, "tie_word_embeddings": True, "conv_L_cache": 3}
_LFM2_FORM = AttentionForm(bias="never", qk_norm="head", norm_names=("q_layernorm", "k_layernorm"), output="out_proj")
_GEMMA3: dict[str, Any] = {"num_key_value_heads": 4, "head_dim": 256, "tie_word_embeddings": True}
_split_delta = {"linear_attention": lambda c: gated_delta_net(c, split=True)}

# By model type: that of the text part, where a repository holds more.
FAMILIES: dict[str, Family] = {
    "llama": Family("LlamaForCausalLM", feed_forward=_with_stated_bias),
    "mistral": Family(
        "MistralForCausalLM",
        {"num_key_value_heads": 8, "sliding_window": 4096},
        AttentionForm(bias="never"),
        _window_everywhere,
        window="sliding_window",
    ),
    "ministral3": Family(
        "Ministral3ForCausalLM",
        {"num_key_value_heads": 8, "head_dim": 128},
        AttentionForm(bias="never"),
        _window_everywhere,
        window="sliding_window",
    ),
    "qwen2": Family(
        "Qwen2ForCausalLM",
        {"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28},
        AttentionForm(bias="always", output_bias=False),
        _qwen_kinds,
        window="sliding_window",
    ),
    "qwen3": Family(
        "Qwen3ForCausalLM",
        {"num_key_value_heads": 32, "head_dim": 128, "sliding_window": 4096, "max_window_layers": 28},
        _QWEN3,
        _qwen_kinds,
        window="sliding_window",
    ),
    "qwen3_moe": Family(
        "Qwen3MoeForCausalLM",
        {
            "num_key_value_heads": 4,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 768,
            "sliding_window": 4096,
        },
        _QWEN3,
        _qwen_moe_kinds,
        feed_forward=_qwen3_moe,
        window="sliding_window",
    ),
    "qwen3_next": Family(
        "Qwen3NextForCausalLM",
        _DELTA
        | {
            "num_experts": 512,
            "num_experts_per_tok": 10,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
        },
        _QWEN_GATED,
        _hybrid_kinds,
        {"linear_attention": lambda c: gated_delta_net(c, split=False)},
        _qwen3_next,
    ),
    "qwen3_5_text": Family(
        "Qwen3_5ForCausalLM", _DELTA | {"num_key_value_heads": 4}, _QWEN_GATED, _hybrid_kinds, _split_delta
    ),
    "qwen3_5_moe_text": Family(
        "Qwen3_5MoeForCausalLM",
        _DELTA
        | {
            "num_experts": 256,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
        },
        _QWEN_GATED,
        _hybrid_kinds,
        _split_delta,
        _qwen_shared,
    ),
    "gemma": Family("GemmaForCausalLM", {"num_key_value_heads": 16, "head_dim": 256, "tie_word_embeddings": True}),
    "gemma2": Family(
        "Gemma2ForCausalLM",
        _GEMMA3 | {"sliding_window": 4096},
        LLAMA,
        _every(2),
        norms=FOUR_NORMS,
        window="sliding_window",
    ),
    "gemma3_text": Family(
        "Gemma3ForCausalLM",
        _GEMMA3 | {"sliding_window": 4096},
        _QWEN3,
        _gemma3_kinds,
        norms=FOUR_NORMS,
        window="sliding_window",
    ),
    "smollm3": Family(
        "SmolLM3ForCausalLM",
        {"num_key_value_heads": 4, "tie_word_embeddings": True},
        LLAMA,
        _smollm3_kinds,
        feed_forward=_with_stated_bias,
        window="sliding_window",
    ),
    "phi3": Family(
        "Phi3ForCausalLM",
        {},
        AttentionForm(bias="never", fused=True),
        _window_everywhere,
        feed_forward=lambda c, layer: dense(c, c.size("intermediate_size"), "mlp", ("gate_up_proj", "", "down_proj")),
        window="sliding_window",
    ),
    "olmo2": Family(
        "Olmo2ForCausalLM",
        {},
        AttentionForm(qk_norm="all"),
        norms=("post_attention_layernorm", "post_feedforward_layernorm"),
    ),
    "olmo3": Family(
        "Olmo3ForCausalLM",
        {"sliding_window": 4096},
        AttentionForm(qk_norm="all"),
        _every(4),
        norms=("post_attention_layernorm", "post_feedforward_layernorm"),
        window="sliding_window",
    ),
    "granite": Family("GraniteForCausalLM", feed_forward=_with_stated_bias),
    "granitemoehybrid": Family(
        "GraniteMoeHybridForCausalLM",
        {
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 1024,
            "mamba_n_heads": 128,
            "mamba_n_groups": 1,
            "mamba_d_state": 256,
            "mamba_d_conv": 4,
            "mamba_expand": 2,
            "mamba_chunk_size": 256,
            "mamba_conv_bias": True,
        },
        LLAMA,
        lambda c, layers: ["linear_attention"] * layers,
        {"linear_attention": mamba},
        _granite_hybrid,
    ),
    "lfm2": Family(
        "Lfm2ForCausalLM",
        _LFM2 | {"block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0},
        _LFM2_FORM,
        _lfm2_kinds,
        {"conv": short_convolution},
        _lfm2,
        ("operator_norm", "ffn_norm"),
        "embedding_norm",
    ),
    "lfm2_moe": Family(
        "Lfm2MoeForCausalLM",
        _LFM2 | {"num_dense_layers": 2, "num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 1792},
        _LFM2_FORM,
        _lfm2_kinds,
        {"conv": short_convolution},
        _lfm2_moe,
        ("operator_norm", "ffn_norm"),
        "embedding_norm",
    ),
    "gpt_oss": Family(
        "GptOssForCausalLM",
        {
            "num_key_value_heads": 8,
            "head_dim": 64,
            "sliding_window": 128,
            "num_local_experts": 128,
            "num_experts_per_tok": 4,
            "attention_bias": True,
        },
        AttentionForm(sinks=True),
        _every(2),
        feed_forward=_gpt_oss,
        window="sliding_window",
    ),
    "glm4": Family(
        "Glm4ForCausalLM",
        {"num_key_value_heads": 2, "head_dim": 128, "attention_bias": True},
        AttentionForm(output_bias=False),
        feed_forward=lambda c, layer: dense(c, c.size("intermediate_size"), "mlp", ("gate_up_proj", "", "down_proj")),
        norms=(*TWO_NORMS, "post_self_attn_layernorm", "post_mlp_layernorm"),
    ),
    "llama4_text": Family(
        "Llama4ForCausalLM",
        {
            "num_key_value_heads": 8,
            "head_dim": 128,
            "num_local_experts": 16,
            "num_experts_per_tok": 1,
            "intermediate_size_mlp": 16_384,
            "attention_chunk_size": 8192,
        },
        LLAMA,
        _llama4_kinds,
        feed_forward=_llama4,
        window="attention_chunk_size",
    ),
}
