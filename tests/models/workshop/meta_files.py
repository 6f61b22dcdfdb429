"""A Hugging Face Llama written as Meta sends it: consolidated shards, params.json, tokenizer.model."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers

LAYER = {
    "self_attn.q_proj": ("attention.wq", 0),
    "self_attn.k_proj": ("attention.wk", 0),
    "self_attn.v_proj": ("attention.wv", 0),
    "self_attn.o_proj": ("attention.wo", 1),
    "mlp.gate_proj": ("feed_forward.w1", 0),
    "mlp.down_proj": ("feed_forward.w2", 1),
    "mlp.up_proj": ("feed_forward.w3", 0),
    "input_layernorm": ("attention_norm", None),
    "post_attention_layernorm": ("ffn_norm", None),
}


def tiny_llama(seed: int = 0, dtype: torch.dtype = torch.bfloat16, **changes: Any) -> Any:
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(seed)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "vocab_size": 512}
    sizes |= {"num_attention_heads": 8, "num_key_value_heads": 8, "tie_word_embeddings": False, "rms_norm_eps": 1e-5}
    model = AutoModelForCausalLM.from_config(LlamaConfig(**sizes | changes), dtype=dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(1.0 if parameter.dim() == 1 else 0.0, 0.1)
    return model


def write_meta(model: Any, folder: Path, shards: int, llama_3: bool = False, **params: Any) -> None:
    """The back conversion; the files have a constant and norms in each, as Meta's have."""
    config, state = model.config, model.state_dict()
    head = config.hidden_size // config.num_attention_heads
    whole: dict[str, tuple[torch.Tensor, int | None]] = {
        "tok_embeddings.weight": (state["model.embed_tokens.weight"], 0 if llama_3 else 1),
        "norm.weight": (state["model.norm.weight"], None),
        "output.weight": (state["lm_head.weight"], 0),
        "rope.freqs": (torch.arange(head // 2, dtype=torch.bfloat16), None),
    }
    for layer in range(config.num_hidden_layers):
        for theirs, (ours, axis) in LAYER.items():
            tensor = state[f"model.layers.{layer}.{theirs}.weight"]
            if ours in ("attention.wq", "attention.wk"):
                rows, columns = tensor.shape
                tensor = tensor.view(rows // head, 2, head // 2, columns).transpose(1, 2).reshape(rows, columns)
            whole[f"layers.{layer}.{ours}.weight"] = (tensor, axis)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(shards):
        part = {
            name: (tensor if axis is None else tensor.chunk(shards, axis)[number]).clone()
            for name, (tensor, axis) in whole.items()
        }
        torch.save(part, folder / f"consolidated.{number:02}.pth")
    stated = {
        "dim": config.hidden_size,
        "n_heads": config.num_attention_heads,
        "n_layers": config.num_hidden_layers,
        "norm_eps": config.rms_norm_eps,
        "multiple_of": 256,
        "vocab_size": -1,
    }
    if config.num_key_value_heads != config.num_attention_heads:
        stated["n_kv_heads"] = config.num_key_value_heads
    (folder / "params.json").write_text(json.dumps(stated | params))


def write_checklist(folder: Path) -> None:
    lines = [f"{hashlib.md5(f.read_bytes()).hexdigest()}  {f.name}" for f in sorted(folder.iterdir())]
    (folder / "checklist.chk").write_text("\n".join(lines) + "\n")


def write_sentence_piece(tokenizer: Tokenizer, path: Path) -> None:
    """The vocabulary of a tokenizer as SentencePiece keeps it: the earlier a piece was merged, the higher its score."""
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    raw = b""
    for text, number in pieces:
        kind = 2 if number == 0 else 3 if number < 3 else 6 if text.startswith("<0x") else 1
        data = text.encode()
        body = b"\x0a" + _varint(len(data)) + data + b"\x15" + struct.pack("<f", -float(max(0, number - 258)))
        body += b"\x18" + _varint(kind)
        raw += b"\x0a" + _varint(len(body)) + body
    path.write_bytes(raw + b"\x12\x02\x08\x01")  # and a field of the trainer's, which nobody needs


def write_tiktoken(tokenizer: Tokenizer, path: Path) -> None:
    """The vocabulary of a byte-level tokenizer as tiktoken keeps it."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    assert len(letters) == 256
    byte_of = _bytes_of_letters()
    lines = []
    for text, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        lines.append(base64.b64encode(bytes(byte_of[mark] for mark in text)) + b" " + str(number).encode())
    path.write_bytes(b"\n".join(lines) + b"\n")


def _bytes_of_letters() -> dict[str, int]:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + at): byte for at, byte in enumerate(others)}


def _varint(value: int) -> bytes:
    raw = b""
    while value > 127:
        raw += bytes([value & 127 | 128])
        value >>= 7
    return raw + bytes([value])


def meta_logits(folder: Path, ids: list[int], rope_theta: float = 10000.0) -> torch.Tensor:
    """What Meta's own model computes (llama/model.py of facebookresearch/llama), from its files put together."""
    params = json.loads((folder / "params.json").read_text())
    files = sorted(folder.glob("*.pth"))
    parts = [torch.load(file, weights_only=True) for file in files]
    axes = {f"{ours}.weight": axis for ours, axis in LAYER.values()} | {"output.weight": 0, "norm.weight": None}
    weights = {}
    for name, first in parts[0].items():
        axis = axes.get(name.split(".", 2)[-1] if name.startswith("layers") else name, 0)
        if name == "tok_embeddings.weight":
            axis = 1 if first.shape[1] != params["dim"] else 0
        weights[name] = (first if axis is None else torch.cat([part[name] for part in parts], axis)).float()
    heads, kv_heads = params["n_heads"], params.get("n_kv_heads") or params["n_heads"]
    head, count = params["dim"] // heads, len(ids)
    angles = torch.outer(torch.arange(count), 1.0 / rope_theta ** (torch.arange(0, head, 2) / head))
    turned = torch.polar(torch.ones_like(angles), angles)[:, None]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + params["norm_eps"]) * weights[name]

    def rotate(x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(x.reshape(count, x.shape[1], -1, 2))
        return torch.view_as_real(pairs * turned).flatten(2)

    x = weights["tok_embeddings.weight"][ids]
    for layer in range(params["n_layers"]):
        w = {name.removeprefix(f"layers.{layer}."): one for name, one in weights.items()}
        h = norm(x, f"layers.{layer}.attention_norm.weight")
        q, k, v = ((h @ w[f"attention.{n}.weight"].T).view(count, -1, head) for n in ("wq", "wk", "wv"))
        q, k = rotate(q), rotate(k)
        k, v = (one.repeat_interleave(heads // kv_heads, dim=1) for one in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / head**0.5 + torch.full((count, count), -torch.inf).triu(1)
        mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).flatten(1)
        x = x + mixed @ w["attention.wo.weight"].T
        h = norm(x, f"layers.{layer}.ffn_norm.weight")
        gate = torch.nn.functional.silu(h @ w["feed_forward.w1.weight"].T)
        x = x + (gate * (h @ w["feed_forward.w3.weight"].T)) @ w["feed_forward.w2.weight"].T
    return norm(x, "norm.weight") @ weights["output.weight"].T
