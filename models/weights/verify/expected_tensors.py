"""The tensors that a model must find in its weight files, with their sizes, as its config.json says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...domain.catalog import Shape
from ...domain.errors import CorruptWeights
from .architectures import ARCHITECTURES

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
_PREFIX = "model."
_INNER = re.compile(r"^(?:.*\.)?(?=layers\.\d|embed_tokens\.|norm\.weight$|lm_head\.)")
_NORMS = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")
# How a quantized matrix is stored -> what stands beside its values, by the ends of the tensors' names.
_PACKED: dict[str, tuple[str, ...]] = {"gptq": ("qweight", "qzeros", "scales"), "awq": ("qweight", "qzeros", "scales")}
_PACKED |= dict.fromkeys(("nf4", "nf4-single", "fp4", "fp4-single"), ("weight", "weight.absmax", "weight.quant_map"))
_PACKED |= {"int8": ("weight", "SCB")}

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Expected:
    """A tensor; `matrix` says that it is one of those that a quantization packs."""

    name: str
    sizes: Sizes
    matrix: bool = False


def expected(shape: Shape, architecture: str) -> Iterator[Expected]:
    """All parameters that a file of plain weights holds, a tied head left out."""
    yield Expected(EMBEDDINGS, (shape.vocabulary, shape.hidden))
    for layer in range(shape.layers):
        for name, sizes, matrix in _layer(shape, ARCHITECTURES[architecture].fused):
            yield Expected(f"model.layers.{layer}.{name}", sizes, matrix)
    yield Expected("model.norm.weight", (shape.hidden,))
    if not shape.tied_embeddings:
        yield Expected(HEAD, (shape.vocabulary, shape.hidden), matrix=True)


def check_complete(held: Mapping[str, Sizes], shape: Shape, architecture: str, mode: str, file: str) -> None:
    """Raise CorruptWeights that names the first tensor which is missing or has other sizes.

    `held` are those of all files, `mode` the one that they are quantized for (empty: they are plain), `file` is the
    one to name. Loaders would fill what is missing with random values.
    """
    if shape.tied_embeddings and HEAD in held:
        held = {EMBEDDINGS: held[HEAD], **held}  # either serves as both
    elsewhere = {_bare(name) for name in held}
    lacking = []
    for tensor in expected(shape, architecture):
        sizes = held.get(tensor.name, held.get(tensor.name.removeprefix(_PREFIX)))
        if sizes == tensor.sizes:
            continue
        if tensor.matrix and mode:
            stem = tensor.name.removesuffix("weight")
            there = all(_bare(stem + end) in elsewhere for end in _PACKED[mode])
        else:
            there = _bare(tensor.name) in elsewhere
        if not there:
            lacking.append(tensor.name)
        elif sizes is not None and not (tensor.matrix and mode):
            said = f"its tensor {tensor.name} is {_by(sizes)}, and by its config.json it has to be {_by(tensor.sizes)}"
            raise CorruptWeights(file=file, reason=said)
    if lacking:
        more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        raise CorruptWeights(file=file, reason=f"it lacks the tensor {lacking[0]}{more} that its config.json asks for")


def linears(shape: Shape, fused: bool) -> dict[str, tuple[str, int, int]]:
    """(part of the layer, outputs, inputs) of the linear modules of one layer.

    `fused` has one matrix for query, key and value, and one for gate and up.
    """
    query, key, value, output, gate, up, down = shape.linears
    attention = {"q_proj": query, "k_proj": key, "v_proj": value, "o_proj": output}
    feed_forward = {"gate_proj": gate, "up_proj": up, "down_proj": down}
    if fused:
        attention = {"qkv_proj": (query[0] + key[0] + value[0], query[1]), "o_proj": output}
        feed_forward = {"gate_up_proj": (gate[0] + up[0], gate[1]), "down_proj": down}
    found = {name: ("self_attn", *sizes) for name, sizes in attention.items()}
    return found | {name: ("mlp", *sizes) for name, sizes in feed_forward.items()}


def _layer(shape: Shape, fused: bool) -> Iterator[tuple[str, Sizes, bool]]:
    for name, (part, outputs, inputs) in linears(shape, fused).items():
        yield f"{part}.{name}.weight", (outputs, inputs), True
        if shape.mlp_bias if part == "mlp" else shape.o_bias if name == "o_proj" else shape.qkv_bias:
            yield f"{part}.{name}.bias", (outputs,), False
    for name in _NORMS[: shape.norms_per_layer]:
        yield f"{name}.weight", (shape.hidden,), False
    for name in ("q_norm", "k_norm") if shape.qk_norm else ():
        yield f"self_attn.{name}.weight", (shape.head_dim,), False


def _bare(name: str) -> str:
    # Files of a bare base model have no “model.” before their names, those of a part of a larger one have more there.
    # Whether a loader understands that, it says itself.
    return _INNER.sub("", name)


def _by(sizes: Sizes) -> str:
    return " x ".join(f"{size:,}" for size in sizes) or "a single number"
