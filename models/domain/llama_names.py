"""What llama.cpp calls architectures and their linear layers, for those whose weights or adapters are written for it.

Source: llama.cpp's convert_hf_to_gguf.py, and tensor_mapping.py of its package gguf.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .catalog import ModelCard
from .lora import HEAD, LoraConfig

# transformers' model type -> llama.cpp's architecture
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3_text": "gemma3"}
# Their rotary embeddings turn neighbouring values, where transformers turns the two halves of a head: the rows of the
# query and the key are stored in another order.
NEIGHBOURS = ("llama",)
TURNED = ("attn_q", "attn_k")
_LINEARS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NORMS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", HEAD: "output"}
_MODULE = re.compile(r"model\.layers\.(\d+)\.(.+)")


def linear_name(module: str) -> str:
    """The name of a linear module's weights in a GGUF file, without “.weight”; empty where there is none."""
    if module == HEAD:
        return "output"
    found = _MODULE.fullmatch(module)
    name = _LINEARS.get(found[2]) if found else None
    return f"blk.{found[1]}.{name}" if found and name else ""


def weight_name(tensor: str) -> str:
    """The name in a GGUF file of a weight or bias of a model of the Llama or Qwen families; empty for any other."""
    module, _, kind = tensor.rpartition(".")
    found = _MODULE.fullmatch(module)
    inner = (_LINEARS | _NORMS).get(found[2]) if found else None
    name = f"blk.{found[1]}.{inner}" if found and inner else _OUTSIDE.get(module)
    return f"{name}.{kind}" if name and kind in ("weight", "bias") else ""


def turned(name: str, architecture: str) -> bool:
    """Whether a GGUF file has the rows of this tensor in another order."""
    return architecture in NEIGHBOURS and name.split(".")[2:3] in ([part] for part in TURNED)


def turned_rows(values: Any, head: int) -> Any:
    """The rows of a query or a key, of heads of that size, so that the two halves of each alternate."""
    rows = values.reshape(-1, 2, head // 2, *values.shape[1:])
    return rows.swapaxes(1, 2).reshape(values.shape)


def adapter_obstacle(card: ModelCard, configs: Iterable[LoraConfig | None]) -> str:
    """The reason why llama.cpp cannot apply these adapters to a model, or an empty string; None is not known yet."""
    shape = card.sizes
    if shape.model_type not in ARCHITECTURES:
        return f"llama.cpp applies adapters here to the architectures {', '.join(ARCHITECTURES)} only"
    if shape.tied_embeddings and any(config and config.targets_module(HEAD) for config in configs):
        return TIED_HEAD
    return ""


TIED_HEAD = "an adapter changes the head, which this model shares with its embeddings: llama.cpp cannot apply that"
