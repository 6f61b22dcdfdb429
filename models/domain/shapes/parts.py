"""The parts of decoder layers as transformers 5.23 builds them: their weights, and what they keep of a conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .fields import Fields
from .shape import LayerKind, Weight

Weights = tuple[Weight, ...]
ATTENTION: dict[str, LayerKind] = {
    "full_attention": "full attention",
    "sliding_attention": "sliding attention",
    "chunked_attention": "sliding attention",
}


@dataclass(frozen=True)
class Mixer:
    """What exchanges information between tokens in a layer; see Layer for what it keeps."""

    kind: LayerKind
    weights: Weights
    kv_width: int = 0
    window: int = 0
    conv_width: int = 0
    kernel: int = 0
    fp32_state: int = 0
    scan: int = 0


@dataclass(frozen=True)
class FeedForward:
    """What acts on each token of a layer alone; `width` for one token."""

    weights: Weights
    width: int
    experts: int = 0
    active: int = 0


def linear(name: str, outputs: int, inputs: int, bias: bool = False) -> Weights:
    own = Weight(f"{name}.weight", (outputs, inputs), "linear")
    return (own, Weight(f"{name}.bias", (outputs,))) if bias else (own,)


def norm(name: str, size: int) -> Weight:
    return Weight(f"{name}.weight", (size,))


@dataclass(frozen=True)
class AttentionForm:
    """How an architecture's attention differs from Llama's.

    `bias` of query, key and value: always, never, or as config.json says (of the output then too, unless
    `output_bias` says never). `qk_norm` is a norm of each head's queries and keys, or of all heads together.
    """

    bias: Literal["never", "always", "stated"] = "stated"
    output_bias: bool = True
    qk_norm: Literal["", "head", "all"] = ""
    norm_names: tuple[str, str] = ("q_norm", "k_norm")
    output: str = "o_proj"
    fused: bool = False  # one matrix for query, key and value
    gated: bool = False  # the query's matrix makes a gate of the output too
    sinks: bool = False


def attention(c: Fields, kind: str, form: AttentionForm, window: int) -> Mixer:
    """Grouped-query attention; `window` is that of the layers which have one."""
    hidden, heads = c.size("hidden_size"), c.size("num_attention_heads")
    size = c.size("head_dim", hidden // heads)
    groups = c.size("num_key_value_heads", heads)
    query, key_value = heads * size, groups * size
    bias = form.bias == "always" or (form.bias == "stated" and c.flag("attention_bias"))
    rows = query * (2 if form.gated else 1)
    if form.fused:
        weights = linear("self_attn.qkv_proj", rows + 2 * key_value, hidden, bias)
    else:
        weights = linear("self_attn.q_proj", rows, hidden, bias)
        weights += linear("self_attn.k_proj", key_value, hidden, bias)
        weights += linear("self_attn.v_proj", key_value, hidden, bias)
    weights += linear(f"self_attn.{form.output}", hidden, query, bias and form.output_bias)
    if form.qk_norm:
        sizes = (size, size) if form.qk_norm == "head" else (query, key_value)
        weights += tuple(norm(f"self_attn.{name}", n) for name, n in zip(form.norm_names, sizes, strict=True))
    if form.sinks:
        weights += (Weight("self_attn.sinks", (heads,)),)
    return Mixer(ATTENTION[kind], weights, 2 * key_value, 0 if kind == "full_attention" else window)


def gated_delta_net(c: Fields, split: bool) -> Mixer:
    """Linear attention by the gated delta rule (arXiv:2412.06464); `split` has a matrix for each of its inputs."""
    hidden, kernel = c.size("hidden_size"), c.size("linear_conv_kernel_dim")
    key_heads, value_heads = c.size("linear_num_key_heads"), c.size("linear_num_value_heads")
    key_size, value_size = c.size("linear_key_head_dim"), c.size("linear_value_head_dim")
    keys, values = key_heads * key_size, value_heads * value_size
    mixed = 2 * keys + values
    if split:
        inputs = {"in_proj_qkv": mixed, "in_proj_z": values, "in_proj_b": value_heads, "in_proj_a": value_heads}
    else:
        inputs = {"in_proj_qkvz": mixed + values, "in_proj_ba": 2 * value_heads}
    weights: Weights = ()
    for name, rows in inputs.items():
        weights += linear(f"linear_attn.{name}", rows, hidden)
    weights += linear("linear_attn.out_proj", hidden, values)
    weights += (
        Weight("linear_attn.dt_bias", (value_heads,)),
        Weight("linear_attn.A_log", (value_heads,)),
        Weight("linear_attn.conv1d.weight", (mixed, 1, kernel)),
        norm("linear_attn.norm", value_size),
    )
    state = value_heads * key_size * value_size
    # torch_chunk_gated_delta_rule: queries, keys and values in six forms each, and four matrices of chunks of 64.
    scan = value_heads * (6 * key_size + 6 * value_size + 4 * 64)
    return Mixer("linear attention", weights, conv_width=mixed, kernel=kernel, fp32_state=state, scan=scan)


def short_convolution(c: Fields) -> Mixer:
    """The gated convolution of LFM2."""
    hidden, kernel, bias = c.size("hidden_size"), c.size("conv_L_cache"), c.flag("conv_bias")
    weights = linear("conv.in_proj", 3 * hidden, hidden, bias) + linear("conv.out_proj", hidden, hidden, bias)
    weights += (Weight("conv.conv.weight", (hidden, 1, kernel)),)
    if bias:
        weights += (Weight("conv.conv.bias", (hidden,)),)
    return Mixer("short convolution", weights, conv_width=hidden, kernel=kernel)


def mamba(c: Fields) -> Mixer:
    """Mamba 2 (arXiv:2405.21060) as in Granite 4."""
    hidden, kernel, heads = c.size("hidden_size"), c.size("mamba_d_conv"), c.size("mamba_n_heads")
    inner, state = c.size("mamba_expand") * hidden, c.size("mamba_d_state")
    mixed = inner + 2 * c.size("mamba_n_groups") * state
    bias = c.flag("mamba_proj_bias")
    weights = linear("mamba.in_proj", inner + mixed + heads, hidden, bias)
    weights += linear("mamba.out_proj", hidden, inner, bias)
    weights += tuple(Weight(f"mamba.{name}", (heads,)) for name in ("dt_bias", "A_log", "D"))
    weights += (Weight("mamba.conv1d.weight", (mixed, 1, kernel)), norm("mamba.norm", inner))
    if c.flag("mamba_conv_bias"):
        weights += (Weight("mamba.conv1d.bias", (mixed,)),)
    # mamba2_chunk_scan: B and C of each head and the inputs in six forms each, and five matrices of chunks.
    scan = heads * (6 * state + 5 * c.size("mamba_chunk_size")) + 6 * inner
    return Mixer("Mamba", weights, conv_width=mixed, kernel=kernel, fp32_state=inner * state, scan=scan)


def dense(
    c: Fields,
    width: int,
    part: str = "mlp",
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj"),
    bias: bool = False,
) -> FeedForward:
    """SwiGLU and the like; an empty name of the second matrix says that the first one holds both."""
    hidden = c.size("hidden_size")
    gate, up, down = names
    weights = linear(f"{part}.{gate}", width if up else 2 * width, hidden, bias)
    if up:
        weights += linear(f"{part}.{up}", width, hidden, bias)
    return FeedForward(weights + linear(f"{part}.{down}", hidden, width, bias), width)


def experts(c: Fields, part: str, count: int, active: int, width: int, transposed: bool = False) -> FeedForward:
    """The matrices of all experts of a layer, each kind as one tensor, without what routes to them."""
    hidden = c.size("hidden_size")
    sizes = [(count, 2 * width, hidden), (count, hidden, width)]
    if transposed:
        sizes = [(count, hidden, 2 * width), (count, width, hidden)]
    names = (f"{part}.experts.gate_up_proj", f"{part}.experts.down_proj")
    stacks = tuple(Weight(name.lstrip("."), size, "experts") for name, size in zip(names, sizes, strict=True))
    return FeedForward(stacks, active * width, count, active)


def joined(first: FeedForward, *others: FeedForward | Weights) -> FeedForward:
    """Several that act on the same token: widths add up, and one of them may be a mixture."""
    for other in others:
        if isinstance(other, FeedForward):
            width, count = first.width + other.width, max(first.experts, other.experts)
            active = max(first.active, other.active)
            first = FeedForward(first.weights + other.weights, width, count, active)
        else:
            first = FeedForward(first.weights + other, first.width, first.experts, first.active)
    return first
