"""How Meta lays out a Llama over files, and what each tensor is called and cut like at Hugging Face.

Source: convert_llama_weights_to_hf.py of transformers 4, which 5 no longer has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..domain.errors import BadCheckpoint
from ..system.files import read_json
from .tensors import Stored

PARAMS = "params.json"
HEAD, EMBEDDINGS = "output.weight", "tok_embeddings.weight"
CONSTANT = "rope.freqs"
# Meta's name -> Hugging Face's, and along which axis the parts are put together (None: each file has all of it).
_OUTSIDE: dict[str, tuple[str, int | None]] = {
    EMBEDDINGS: ("model.embed_tokens.weight", 0),  # Llama 2 cuts its columns instead: the shapes tell
    "norm.weight": ("model.norm.weight", None),
    HEAD: ("lm_head.weight", 0),
}
_LAYER: dict[str, tuple[str, int | None]] = {
    "attention.wq.weight": ("self_attn.q_proj.weight", 0),
    "attention.wk.weight": ("self_attn.k_proj.weight", 0),
    "attention.wv.weight": ("self_attn.v_proj.weight", 0),
    "attention.wo.weight": ("self_attn.o_proj.weight", 1),
    "feed_forward.w1.weight": ("mlp.gate_proj.weight", 0),
    "feed_forward.w2.weight": ("mlp.down_proj.weight", 1),
    "feed_forward.w3.weight": ("mlp.up_proj.weight", 0),
    "attention_norm.weight": ("input_layernorm.weight", None),
    "ffn_norm.weight": ("post_attention_layernorm.weight", None),
}
ROTATED = ("attention.wq.weight", "attention.wk.weight")  # Meta has pairs of rows side by side, others halves of a head
_IN_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Params:
    """Meta's params.json, as far as it shapes the tensors."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    norm_eps: float
    rope_theta: float
    scaled_rope: bool

    @property
    def head_dim(self) -> int:
        """Rows of one head."""
        return self.dim // self.heads


def read_params(folder: Path) -> Params:
    """The params.json of a folder; raises BadCheckpoint."""
    stated = read_json(folder / PARAMS)
    stated = stated.get("model", stated)
    try:
        heads = int(stated["n_heads"])
        found = Params(
            int(stated["dim"]),
            int(stated["n_layers"]),
            heads,
            int(stated.get("n_kv_heads") or heads),
            float(stated["norm_eps"]),
            float(stated.get("rope_theta") or 10000.0),
            bool(stated.get("use_scaled_rope", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadCheckpoint(folder=folder.name, reason=f"its {PARAMS} cannot be read") from None
    odd = found.layers < 1 or found.kv_heads < 1 or found.dim < 1 or found.dim % found.heads
    if odd or found.head_dim % 2 or found.heads % found.kv_heads or stated.get("moe_args"):
        raise BadCheckpoint(folder=folder.name, reason=f"its {PARAMS} does not describe a Llama")
    return found


def place_of(name: str) -> tuple[str, int | None] | None:
    """Hugging Face's name of a tensor and its axis; None for one that no Llama has."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    found = _IN_LAYER.fullmatch(name)
    if found is None or found[2] not in _LAYER:
        return None
    theirs, axis = _LAYER[found[2]]
    return f"model.layers.{found[1]}.{theirs}", axis


def axis_of(part: Stored, count: int, params: Params) -> int | None:
    """Along which axis `count` parts of a tensor are put together."""
    place = place_of(part.name)
    axis = place[1] if place else None
    if part.name == EMBEDDINGS and len(part.shape) == 2 and count > 1 and part.shape[1] * count == params.dim:
        return 1
    return axis


def rotated_heads(name: str, params: Params) -> int:
    """How many heads' rows have to be put in another order, 0 for none."""
    if not name.endswith(ROTATED):
        return 0
    return params.heads if name.endswith(ROTATED[0]) else params.kv_heads


def merged(shards: Sequence[Sequence[Stored]], params: Params, folder: str) -> list[Stored]:
    """The tensors that the parts of all files make, under Meta's names; raises BadCheckpoint for what fits no Llama."""
    whole = {one.name: (one.shape, one.dtype) for one in shards[0]}
    for number, shard in enumerate(shards):
        held = {one.name: (one.shape, one.dtype) for one in shard}
        for name in whole | held:
            place = place_of(name)
            if name not in held and (name == CONSTANT or (place and place[1] is None)):
                continue  # norms may be in the first file only
            if held.get(name) != whole.get(name):
                raise BadCheckpoint(folder=folder, reason=f"its files 00 and {number:02} do not have the same {name}")
    found = []
    for one in shards[0]:
        if one.name != CONSTANT and place_of(one.name) is None:
            raise BadCheckpoint(folder=folder, reason=f"it has {one.name}, which is in no Llama")
        axis = axis_of(one, len(shards), params)
        times = 1 if axis is None else len(shards)
        shape = tuple(size * times if place == axis else size for place, size in enumerate(one.shape))
        found.append(replace(one, shape=shape, bytes=one.bytes * times))
    _check(found, params, folder)
    return found


def _check(tensors: Sequence[Stored], params: Params, folder: str) -> None:
    held = {one.name: one.shape for one in tensors}
    keys = (params.kv_heads * params.head_dim, params.dim)
    sizes: dict[str, tuple[int, ...]] = {"attention.wk.weight": keys, "attention.wv.weight": keys}
    sizes |= dict.fromkeys(("attention.wq.weight", "attention.wo.weight"), (params.dim, params.dim))
    wanted = {f"layers.{layer}.{name}": sizes.get(name) for layer in range(params.layers) for name in _LAYER}
    wanted |= {"norm.weight": (params.dim,), EMBEDDINGS: None}
    for name, shape in wanted.items():
        if name not in held:
            raise BadCheckpoint(folder=folder, reason=f"it lacks {name}")
        if shape is not None and held[name] != shape:
            sized = [" x ".join(map(str, one)) for one in (held[name], shape)]
            raise BadCheckpoint(folder=folder, reason=f"{name} is {sized[0]}, and by {PARAMS} it has to be {sized[1]}")
    if held[EMBEDDINGS][-1:] != (params.dim,):
        raise BadCheckpoint(folder=folder, reason=f"{EMBEDDINGS} does not fit {PARAMS}")


def config(params: Params, tensors: Sequence[Stored], tied: bool, context: int, ids: dict[str, Any]) -> dict[str, Any]:
    """The config.json of the same model at Hugging Face; `ids` are those of the tokens that begin and end a text."""
    held = {one.name: one for one in tensors}
    stated: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        **ids,
        "dtype": {"BF16": "bfloat16", "F16": "float16"}.get(held[EMBEDDINGS].dtype, "float32"),
        "head_dim": params.head_dim,
        "hidden_act": "silu",
        "hidden_size": params.dim,
        "initializer_range": 0.02,
        "intermediate_size": held["layers.0.feed_forward.w1.weight"].shape[0],
        "max_position_embeddings": context,
        "mlp_bias": False,
        "num_attention_heads": params.heads,
        "num_hidden_layers": params.layers,
        "num_key_value_heads": params.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": params.norm_eps,
        "rope_theta": params.rope_theta,
        "tie_word_embeddings": tied,
        "use_cache": True,
        "vocab_size": held[EMBEDDINGS].shape[0],
    }
    if params.scaled_rope:
        # Only the two small models of Llama 3.2 share embeddings and head; theirs is stretched further.
        stated["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": 32.0 if tied else 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    return stated


def context_of(params: Params, is_llama_3: bool) -> int:
    """The longest sequence of tokens that a model was made for; of the first Llama it was 2048, which nothing tells."""
    if params.scaled_rope:
        return 131072  # 3.1 and later
    if is_llama_3:
        return 8192
    return 16384 if params.rope_theta > 10000.0 else 4096  # Code Llama, Llama 2
