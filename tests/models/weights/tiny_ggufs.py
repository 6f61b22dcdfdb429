"""GGUF files of the architectures that llama.cpp reads, of random weights and a few kilobytes, with their layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy

T = gguf.GGUFValueType
H, HEADS, GROUPS, SIZE, FF, EXPERTS, WINDOW = 256, 4, 2, 64, 256, 4, 16
Sizes = dict[str, tuple[int, ...]]

KV: Sizes = {"attn_k.weight": (GROUPS * SIZE, H), "attn_v.weight": (GROUPS * SIZE, H)}
QUERY: Sizes = {"attn_q.weight": (HEADS * SIZE, H), "attn_output.weight": (H, HEADS * SIZE)}
ATTENTION: Sizes = {"attn_norm.weight": (H,)} | QUERY | KV
DENSE: Sizes = {"ffn_gate.weight": (FF, H), "ffn_up.weight": (FF, H), "ffn_down.weight": (H, FF)}
NORMED: Sizes = {"ffn_norm.weight": (H,)} | DENSE
HEAD_NORMS: Sizes = {"attn_q_norm.weight": (SIZE,), "attn_k_norm.weight": (SIZE,)}
POST: Sizes = {"post_attention_norm.weight": (H,), "post_ffw_norm.weight": (H,)}
MIXTURE: Sizes = {
    "ffn_gate_inp.weight": (EXPERTS, H),
    "ffn_gate_exps.weight": (EXPERTS, FF, H),
    "ffn_up_exps.weight": (EXPERTS, FF, H),
    "ffn_down_exps.weight": (EXPERTS, H, FF),
}
SHARED: Sizes = {f"ffn_{name}_shexp.weight": (FF, FF) for name in ("gate", "up", "down")}
BIASES: Sizes = {"attn_q.bias": (HEADS * SIZE,), "attn_k.bias": (GROUPS * SIZE,), "attn_v.bias": (GROUPS * SIZE,)}
OSS: Sizes = {"attn_output.bias": (H,), "attn_sinks.weight": (HEADS,), "post_attention_norm.weight": (H,)}
OSS |= {"ffn_gate_inp.bias": (EXPERTS,), "ffn_down_exps.bias": (EXPERTS, H)}
OSS |= {"ffn_gate_exps.bias": (EXPERTS, FF), "ffn_up_exps.bias": (EXPERTS, FF)}
OLMO: Sizes = {"attn_q_norm.weight": (H,), "attn_k_norm.weight": (GROUPS * SIZE,)} | QUERY | KV | POST | DENSE
FUSED: Sizes = {
    "attn_norm.weight": (H,),
    "attn_qkv.weight": ((HEADS + 2 * GROUPS) * SIZE, H),
    "attn_output.weight": (H, H),
    "ffn_norm.weight": (H,),
    "ffn_up.weight": (2 * FF, H),
    "ffn_down.weight": (H, FF),
}
SHORT: Sizes = {
    "attn_norm.weight": (H,),
    "shortconv.conv.weight": (H, 3),
    "shortconv.in_proj.weight": (3 * H, H),
    "shortconv.out_proj.weight": (H, H),
}
# Mamba 2 with 8 heads of 64, 2 groups, a state of 16; a gated delta net with 2 heads of keys and 4 of values, of 16.
INNER, STATE, KERNEL = 512, 16, 4
MIXED = INNER + 2 * 2 * STATE
MAMBA: Sizes = {
    "attn_norm.weight": (H,),
    "ssm_in.weight": (INNER + MIXED + 8, H),
    "ssm_conv1d.weight": (MIXED, KERNEL),
    "ssm_conv1d.bias": (MIXED,),
    "ssm_dt.bias": (8,),
    "ssm_a": (8, 1),
    "ssm_d": (8, 1),
    "ssm_norm.weight": (2, INNER // 2),
    "ssm_out.weight": (H, INNER),
}
KEYS, VALUES = 2 * 16, 4 * 16
DELTA: Sizes = {
    "attn_norm.weight": (H,),
    "post_attention_norm.weight": (H,),
    "attn_qkv.weight": (2 * KEYS + VALUES, H),
    "attn_gate.weight": (VALUES, H),
    "ssm_conv1d.weight": (2 * KEYS + VALUES, KERNEL),
    "ssm_dt.bias": (4,),
    "ssm_a": (4,),
    "ssm_norm.weight": (16,),
    "ssm_out.weight": (H, VALUES),
}
QWEN35: Sizes = DELTA | DENSE | {"ssm_alpha.weight": (4, H), "ssm_beta.weight": (4, H)}
NEXT_EXPERTS: Sizes = MIXTURE | SHARED | {"ffn_gate_inp_shexp.weight": (H,)}
QWEN35_MOE: Sizes = DELTA | NEXT_EXPERTS | {"ssm_alpha.weight": (4, H), "ssm_beta.weight": (4, H)}
NEXT: Sizes = DELTA | NEXT_EXPERTS | {"ssm_ba.weight": (8, H)}
GATED: Sizes = ATTENTION | HEAD_NORMS | {"attn_q.weight": (2 * HEADS * SIZE, H), "post_attention_norm.weight": (H,)}
NEXTN: Sizes = {"nextn.eh_proj.weight": (H, 2 * H), "nextn.enorm.weight": (H,), "nextn.hnorm.weight": (H,)}
GEMMA: Sizes = ATTENTION | NORMED | POST
# A layer of Gemma 4 with a window has heads of another size; the last ones take the keys of earlier ones.
WIDE: Sizes = {
    "attn_q.weight": (HEADS * 128, H),
    "attn_output.weight": (H, HEADS * 128),
    "attn_k.weight": (GROUPS * 128, H),
    "attn_v.weight": (GROUPS * 128, H),
    "attn_q_norm.weight": (128,),
    "attn_k_norm.weight": (128,),
}
LOCAL = GEMMA | HEAD_NORMS

MOE = {"expert_count": EXPERTS, "expert_used_count": 2, "expert_feed_forward_length": FF}
SSM = {"ssm.conv_kernel": KERNEL, "ssm.inner_size": INNER, "ssm.state_size": STATE, "ssm.group_count": 2}
SSM |= {"ssm.time_step_rank": 8}
LINEAR = SSM | {"ssm.inner_size": VALUES, "ssm.time_step_rank": 4, "rope.dimension_sections": [8, 8, 8, 8]}
LINEAR |= {"attention.key_length": SIZE, "attention.value_length": SIZE, "rope.dimension_count": SIZE}
WINDOWED = {"attention.sliding_window": WINDOW}

# By architecture: what its values say beside COMMON, and the tensors of each layer.
MODELS: dict[str, tuple[dict[str, Any], list[Sizes]]] = {
    "llama": ({}, 3 * [ATTENTION | NORMED]),
    "qwen2": (WINDOWED, 3 * [ATTENTION | BIASES | NORMED]),
    "qwen3": ({}, 3 * [ATTENTION | HEAD_NORMS | NORMED]),
    "mistral3": ({}, 3 * [ATTENTION | NORMED]),
    "gemma": ({}, 3 * [ATTENTION | NORMED]),
    "smollm3": ({}, 4 * [ATTENTION | NORMED]),
    "granite": ({"logit_scale": 1.0}, 3 * [ATTENTION | NORMED]),
    "granitemoe": (MOE | {"logit_scale": 1.0}, 3 * [ATTENTION | {"ffn_norm.weight": (H,)} | MIXTURE]),
    "phi3": (WINDOWED, 3 * [FUSED]),
    "glm4": ({}, 3 * [FUSED | POST]),
    "qwen3moe": (MOE, 3 * [ATTENTION | HEAD_NORMS | {"ffn_norm.weight": (H,)} | MIXTURE]),
    "gpt-oss": (MOE | WINDOWED, 4 * [ATTENTION | BIASES | OSS | MIXTURE]),
    "gemma2": (WINDOWED, 5 * [GEMMA]),
    "gemma3": (WINDOWED, 7 * [LOCAL]),
    "gemma4": (
        WINDOWED
        | {"attention.sliding_window_pattern": [True, True, False, True, True, False]}
        | {"attention.key_length": 128, "attention.value_length": 128, "attention.shared_kv_layers": 3}
        | {"attention.key_length_swa": SIZE, "attention.value_length_swa": SIZE}
        | {"embedding_length_per_layer_input": 0, "rope.dimension_count_swa": SIZE},
        2 * [LOCAL, LOCAL, LOCAL | WIDE],
    ),
    "olmo2": (WINDOWED, 5 * [OLMO]),
    "llama4": (
        MOE | {"interleave_moe_layer_step": 2},
        2 * [ATTENTION | NORMED, ATTENTION | {"ffn_norm.weight": (H,)} | MIXTURE | SHARED],
    ),
    "lfm2": (
        {"attention.head_count_kv": [0, GROUPS, 0, GROUPS], "shortconv.l_cache": 3},
        2 * [SHORT | NORMED, ATTENTION | HEAD_NORMS | NORMED],
    ),
    "lfm2moe": (
        MOE
        | {"attention.head_count_kv": [0, GROUPS], "shortconv.l_cache": 3, "leading_dense_block_count": 1}
        | {"expert_gating_func": 2},
        [SHORT | NORMED, ATTENTION | HEAD_NORMS | {"ffn_norm.weight": (H,), "exp_probs_b.bias": (EXPERTS,)} | MIXTURE],
    ),
    "granitehybrid": (
        SSM | {"attention.head_count_kv": [0, 0, GROUPS], "logit_scale": 1.0},
        [MAMBA | NORMED, MAMBA | NORMED, ATTENTION | NORMED],
    ),
    "qwen3next": (LINEAR | MOE | {"expert_shared_feed_forward_length": FF}, 3 * [NEXT] + [GATED | NEXT_EXPERTS]),
    "qwen35": (
        LINEAR | {"full_attention_interval": 2, "nextn_predict_layers": 1},
        2 * [QWEN35, GATED | DENSE] + [GATED | DENSE | NEXTN],
    ),
    "qwen35moe": (
        LINEAR | MOE | {"full_attention_interval": 2, "expert_shared_feed_forward_length": FF},
        [QWEN35_MOE, GATED | NEXT_EXPERTS],
    ),
}
NO_HEAD = ("gemma", "gemma2", "gemma3", "gemma4", "lfm2", "lfm2moe")


def write_gguf(architecture: str, path: Path, change: dict[str, Any] | None = None, q4_0: bool = False) -> Path:
    """A file that llama.cpp loads; its values can be changed, None takes one out; `q4_0` packs its matrices."""
    own, layers = MODELS[architecture]
    values = {
        "block_count": len(layers),
        "context_length": 32_768,
        "embedding_length": H,
        "feed_forward_length": FF,
        "attention.head_count": HEADS,
        "attention.head_count_kv": GROUPS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        **own,
        **(change or {}),
    }
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in values.items():
        if isinstance(value, list):
            writer.add_array(f"{architecture}.{name}", value)
        elif value is not None:
            kind = T.FLOAT32 if isinstance(value, float) else T.UINT32
            writer.add_key_value(f"{architecture}.{name}", value, kind)
    tokens = [f"<{number}>" for number in range(254)] + ["a", "b"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    table = numpy.zeros((len(tokens), H), numpy.float32)
    writer.add_tensor("token_embd.weight", table)
    writer.add_tensor("token_embd_norm.weight" if architecture.startswith("lfm2") else "output_norm.weight", table[0])
    if architecture == "gemma4":
        writer.add_tensor("rope_freqs.weight", table[0, :64])
    tensors = {f"blk.{number}.{name}": sizes for number, layer in enumerate(layers) for name, sizes in layer.items()}
    if architecture not in NO_HEAD:
        tensors["output.weight"] = table.shape
    for name, sizes in tensors.items():
        values, kind = numpy.zeros(sizes, numpy.float32), None
        if q4_0 and len(sizes) > 1 and name.endswith(".weight") and "conv" not in name and "_inp" not in name:
            kind = gguf.GGMLQuantizationType.Q4_0
            values = gguf.quants.quantize(values, kind)
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
