"""The tensors that a model must find in its weight files, with their sizes, as its config.json says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...domain.errors import CorruptWeights
from ...domain.shapes.shape import Shape

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
_PREFIX = "model."
_INNER = re.compile(r"^(?:.*?\.)??(?=layers\.\d|embed_tokens|norm\.weight$|embedding_norm\.|per_layer_|lm_head\.)")
_BESIDE_EXPERTS = re.compile(r"^(self_attn|linear_attn|mamba|conv)\.|norm")
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


def expected(shape: Shape) -> Iterator[Expected]:
    """All parameters that a file of plain weights holds, a tied head left out.

    What a mixture is made of is too: files name and stack experts in other ways than the model, which a loader knows.
    """
    if shape.estimated:  # its files are all that tells; a loader finds what is missing
        return
    yield Expected(EMBEDDINGS, (shape.vocabulary, shape.hidden))
    for number, layer in enumerate(shape.layers):
        for weight in layer.weights:
            if not layer.experts or _BESIDE_EXPERTS.search(weight.name):
                yield Expected(f"model.layers.{number}.{weight.name}", weight.sizes, weight.kind == "linear")
    for weight in shape.outside:
        yield Expected(f"model.{weight.name}", weight.sizes, weight.kind == "linear")
    if not shape.tied_embeddings:
        yield Expected(HEAD, (shape.vocabulary, shape.hidden), matrix=True)


def check_complete(held: Mapping[str, Sizes], shape: Shape, mode: str, file: str) -> None:
    """Raise CorruptWeights that names the first tensor which is missing or has other sizes.

    `held` are those of all files, `mode` the one that they are quantized for (empty: they are plain), `file` is the
    one to name. Loaders would fill what is missing with random values.
    """
    if shape.tied_embeddings and HEAD in held:
        held = {EMBEDDINGS: held[HEAD], **held}  # either serves as both
    elsewhere = {_bare(name) for name in held}
    lacking = []
    for tensor in expected(shape):
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


def _bare(name: str) -> str:
    # Files of a bare base model have no “model.” before their names, those of a part of a larger one have more there.
    # Whether a loader understands that, it says itself.
    return _INNER.sub("", name)


def _by(sizes: Sizes) -> str:
    return " x ".join(f"{size:,}" for size in sizes) or "a single number"
