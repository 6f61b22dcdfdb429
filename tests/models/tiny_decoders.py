"""A tiny config of every architecture that is counted, as its config.json could say it."""

from __future__ import annotations

from typing import Any

COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 400,
    "max_position_embeddings": 512,
}
EXPERTS: dict[str, Any] = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
DELTA: dict[str, Any] = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 8,
}
MAMBA: dict[str, Any] = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
CONV = ["conv", "full_attention", "conv", "full_attention"]
WINDOW: dict[str, Any] = {"sliding_window": 16}

# By a name: the model type, perhaps with what is special of it behind a space, and what is beside COMMON.
DECODERS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": WINDOW,
    "ministral3": {},
    "qwen2": {},
    "qwen2 window": WINDOW | {"use_sliding_window": True, "max_window_layers": 2},
    "qwen3": {},
    "qwen3_moe": EXPERTS | {"mlp_only_layers": [1]},
    "qwen3_next": DELTA | EXPERTS | {"shared_expert_intermediate_size": 64},
    "qwen3_5_text": DELTA,
    "qwen3_5_moe_text": DELTA | EXPERTS | {"shared_expert_intermediate_size": 64},
    "gemma": {},
    "gemma2": WINDOW,
    "gemma3_text": WINDOW | {"num_hidden_layers": 7},
    "gemma4_text": WINDOW
    | {
        "num_hidden_layers": 6,
        "global_head_dim": 32,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 400,
        "num_kv_shared_layers": 3,
        "use_double_wide_mlp": True,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
    },
    "gemma4_text experts": WINDOW
    | {
        "num_hidden_layers": 6,
        "global_head_dim": 32,
        "hidden_size_per_layer_input": 0,
        "attention_k_eq_v": True,
        "num_global_key_value_heads": 1,
        "enable_moe_block": True,
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 64,
    },
    "smollm3": {},
    "phi3": {},
    "olmo2": {},
    "olmo3": WINDOW,
    "granite": {},
    "granitemoehybrid": MAMBA
    | {"num_local_experts": 0, "shared_intermediate_size": 64, "layer_types": ["mamba", "attention"] * 2},
    "granitemoehybrid experts": MAMBA
    | {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 64,
        "layer_types": ["mamba", "mamba", "mamba", "attention"],
    },
    "lfm2": {"layer_types": CONV, "block_multiple_of": 16},
    "lfm2_moe": EXPERTS | {"layer_types": CONV, "num_dense_layers": 1},
    "gpt_oss": WINDOW | {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16},
    "glm4": {},
    "llama4_text": {
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "intermediate_size_mlp": 192,
        "interleave_moe_layer_step": 2,
        "attention_chunk_size": 16,
    },
}


def config(name: str, **changes: Any) -> dict[str, Any]:
    """The config of a decoder of the table; its pad and end tokens lie within its vocabulary."""
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return {"model_type": name.split()[0]} | COMMON | ends | DECODERS[name] | changes


def config_class(name: str, **changes: Any) -> Any:
    """The same as transformers' own config."""
    from transformers import AutoConfig

    stated = config(name, **changes)
    return AutoConfig.for_model(**stated)
