"""The tiny model of the tests as GGUF that llama.cpp loads, in one file or in several, whatever they say or lack."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy
from safetensors.numpy import load_file

T = gguf.GGUFValueType
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_tiny_gguf(
    folder: Path,
    path: Path,
    drop: tuple[str, ...] = (),
    put: Mapping[str, tuple[Any, Any]] | None = None,
    without: tuple[str, ...] = (),
    change: Mapping[str, Any] | None = None,
    add: Mapping[str, Any] | None = None,
    part: tuple[int, int] = (0, 1),
) -> Path:
    """`folder` holds a Llama with a byte-level tokenizer. Keys are dropped or put as (value, type); tensors are left
    out, changed by a function of their values, or added. Of `part` = (number, count) it has every count-th tensor."""
    config = json.loads((folder / "config.json").read_text())
    number, count = part
    pairs = _pairs(folder, config) | dict(put or {}) if number == 0 else {}
    tensors = [*_tensors(folder, config), *(add or {}).items()]
    if count > 1:
        pairs |= {"split.no": (number, T.UINT16), "split.count": (count, T.UINT16)}
        pairs |= {"split.tensors.count": (len(tensors), T.INT32)}
    writer = gguf.GGUFWriter(path, "llama")
    for key, (value, kind) in pairs.items():
        if key in drop:
            continue
        if kind is T.ARRAY:
            writer.add_array(key, value)
        else:
            writer.add_key_value(key, value, kind)
    for at, (name, values) in enumerate(tensors):
        if at % count == number and name not in without:
            writer.add_tensor(name, (change or {}).get(name, lambda same: same)(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_parts(folder: Path, target: Path, count: int) -> Path:
    """The model in several files; returns the first."""
    files = [target / f"tiny-{number + 1:05}-of-{count:05}.gguf" for number in range(count)]
    for number, file in enumerate(files):
        write_tiny_gguf(folder, file, part=(number, count))
    return files[0]


def _pairs(folder: Path, config: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    model = json.loads((folder / "tokenizer.json").read_text())
    stated = json.loads((folder / "tokenizer_config.json").read_text())
    tokens = sorted(model["model"]["vocab"], key=model["model"]["vocab"].get)
    special = {entry["content"] for entry in model["added_tokens"]}
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["model"]["merges"]]
    template = folder / "chat_template.jinja"
    text = template.read_text() if template.exists() else stated.get("chat_template", "")
    return {
        "llama.context_length": (config["max_position_embeddings"], T.UINT32),
        "llama.embedding_length": (config["hidden_size"], T.UINT32),
        "llama.block_count": (config["num_hidden_layers"], T.UINT32),
        "llama.feed_forward_length": (config["intermediate_size"], T.UINT32),
        "llama.attention.head_count": (config["num_attention_heads"], T.UINT32),
        "llama.attention.head_count_kv": (config["num_key_value_heads"], T.UINT32),
        "llama.rope.dimension_count": (config["head_dim"], T.UINT32),
        "llama.rope.freq_base": (config["rope_parameters"]["rope_theta"], T.FLOAT32),
        "llama.attention.layer_norm_rms_epsilon": (config["rms_norm_eps"], T.FLOAT32),
        "llama.vocab_size": (len(tokens), T.UINT32),
        "tokenizer.ggml.model": ("gpt2", T.STRING),
        "tokenizer.ggml.pre": ("gpt-2", T.STRING),
        "tokenizer.ggml.tokens": (tokens, T.ARRAY),
        "tokenizer.ggml.token_type": ([3 if token in special else 1 for token in tokens], T.ARRAY),
        "tokenizer.ggml.merges": (merges, T.ARRAY),
        "tokenizer.ggml.bos_token_id": (config["bos_token_id"], T.UINT32),
        "tokenizer.ggml.eos_token_id": (config["eos_token_id"], T.UINT32),
        "tokenizer.ggml.add_bos_token": (False, T.BOOL),
        "tokenizer.chat_template": (text, T.STRING),
    }


def _tensors(folder: Path, config: dict[str, Any]):
    held = load_file(folder / "model.safetensors")
    yield "token_embd.weight", held["model.embed_tokens.weight"].astype(numpy.float32)
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in _NAMES.items():
            values = held[f"model.layers.{layer}.{theirs}.weight"].astype(numpy.float32)
            heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}.get(ours)
            if heads:  # llama.cpp turns neighbours, transformers halves
                halves = values.reshape(config[heads], 2, len(values) // config[heads] // 2, -1)
                values = halves.swapaxes(1, 2).reshape(values.shape)
            yield f"blk.{layer}.{ours}.weight", values
    yield "output_norm.weight", held["model.norm.weight"].astype(numpy.float32)
    head = held.get("lm_head.weight", held["model.embed_tokens.weight"])
    yield "output.weight", head.astype(numpy.float32)
