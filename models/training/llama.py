"""Llama from its parts, as published: https://arxiv.org/abs/2302.13971, and Llama 3's: https://arxiv.org/abs/2407.21783.

Parameters carry the names of transformers' `LlamaForCausalLM`, so that either reads what the other wrote. Shapes in
comments: B rows, T positions, H heads of width D, C hidden width.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention, silu

Cache = list[tuple[Tensor, Tensor]]  # per layer the keys and values of earlier positions, B x H x T x D each


@dataclass(frozen=True)
class Llama3Scaling:
    """How Llama 3.1 and later stretch slow rotations; low and high are counts of turns within the original context."""

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192


@dataclass(frozen=True)
class Config:
    """What decides the shapes, under transformers' names."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int = 1024
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10_000.0
    tie_word_embeddings: bool = True
    scaling: Llama3Scaling | None = None

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.hidden_size // self.num_attention_heads

    def to_dict(self) -> dict[str, Any]:
        """The same as a config.json of transformers."""
        said = asdict(self)
        theta, scaling = said.pop("rope_theta"), said.pop("scaling")
        rope = {"rope_type": "llama3", **scaling} if scaling else {"rope_type": "default"}
        beside = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "dtype": "float32"}
        names = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "head_dim": self.head_dim}
        return {**names, **said, "rope_parameters": {"rope_theta": theta, **rope}, **beside}

    @classmethod
    def read(cls, said: dict[str, Any]) -> Config:
        """From a config.json, older ones too; raises ValueError for what this file does not compute."""
        rope = said.get("rope_parameters") or {**(said.get("rope_scaling") or {}), "rope_theta": said.get("rope_theta")}
        kind = rope.get("rope_type") or "default"
        if kind not in ("default", "llama3") or said.get("attention_bias") or said.get("mlp_bias"):
            raise ValueError(f"a Llama with {kind} rotations or with biases")
        taken = {name: said[name] for name in cls.__dataclass_fields__ if name in said and name != "rope_theta"}
        stretch = {name: rope[name] for name in Llama3Scaling.__dataclass_fields__ if kind == "llama3"}
        theta = rope.get("rope_theta") or 10_000.0
        return cls(**taken, rope_theta=theta, scaling=Llama3Scaling(**stretch) if stretch else None)


def rotations(config: Config) -> Tensor:
    """Angles a position turns each pair of a head's values by, in radians: D / 2."""
    turns = config.rope_theta ** -(torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim)
    if (scaling := config.scaling) is None:
        return turns
    in_context = scaling.original_max_position_embeddings * turns / (2 * math.pi)  # whole turns
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((in_context - low) / (high - low)).clamp(0, 1)  # fast ones as they are, slow ones stretched
    return kept * turns + (1 - kept) * turns / scaling.factor


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn value i and value i + D / 2 of each head, B x H x T x D, as one point of the plane."""
    first, second = heads.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class RMSNorm(nn.Module):
    """Each position by its root mean square, computed in fp32."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)).type_as(x)


class Attention(nn.Module):
    """Grouped-query attention: several heads of queries share one head of keys and values."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.width, self.groups = config.head_dim, config.num_attention_heads // config.num_key_value_heads
        queries, keys = config.num_attention_heads * self.width, config.num_key_value_heads * self.width
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Any]:
        query, key, value = (
            projected(x).unflatten(-1, (-1, self.width)).transpose(1, 2)  # B x H x T x D
            for projected in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        if past is not None:
            key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        new, all_ = query.shape[2], key.shape[2]
        seen = None if past is None else torch.ones(new, all_, dtype=torch.bool, device=x.device).tril(all_ - new)
        keys, values = (one.repeat_interleave(self.groups, 1) for one in (key, value))
        mixed = scaled_dot_product_attention(query, keys, values, attn_mask=seen, is_causal=seen is None)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), (key, value)


class SwiGLU(nn.Module):
    """The feed-forward half of a layer: one projection gates the other."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention, then SwiGLU, each on normed values and added to what came in."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(config), SwiGLU(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Any]:
        mixed, held = self.self_attn(self.input_layernorm(x), cos, sin, past)
        x = x + mixed
        return x + self.mlp(self.post_attention_layernorm(x)), held


class Llama(nn.Module):
    """The whole decoder; a tied head has no weight of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.model.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.register_buffer("rotations", rotations(config), persistent=False)
        for matrix in self.parameters():
            if matrix.dim() == 2:
                nn.init.normal_(matrix, std=0.02)

    def hidden(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """B x T ids -> B x T x C values before the head; a cache is read and extended in place."""
        before = cache[0][0].shape[2] if cache else 0
        angles = torch.outer(torch.arange(before, before + ids.shape[1], device=ids.device).float(), self.rotations)
        x = self.model.embed_tokens(ids)
        cos, sin = angles.cos().type_as(x), angles.sin().type_as(x)
        held = []
        for number, layer in enumerate(self.model.layers):
            x, made = layer(x, cos, sin, cache[number] if cache else None)
            held.append(made)
        if cache is not None:
            cache[:] = held
        return self.model.norm(x)

    def head(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary, of any number of positions."""
        tied = self.config.tie_word_embeddings
        return linear(hidden, (self.model.embed_tokens if tied else self.lm_head).weight)

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        return self.head(self.hidden(ids, cache))
