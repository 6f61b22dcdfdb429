"""The tensors of a checkpoint as its headers describe them, and how many parameters they are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

# What is stored beside weights and is none: constants of rotary embeddings, and what quantized weights are read with.
_CONSTANTS = re.compile(r"(^|\.)(rope\.freqs|rope_(freqs|factors_long|factors_short)\.weight|rotary_emb\.inv_freq)$")
_BESIDE = re.compile(r"\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__\w+)$")
_SCALES = {"SCB": "weight", "weight_format": "weight", "weight_scale_inv": "weight", "weight_scale": "weight"}
_SCALES |= dict.fromkeys(("qzeros", "scales", "g_idx"), "qweight")


@dataclass(frozen=True)
class Tensor:
    """One tensor: `dtype` is spelled as its format does, `bytes` are those in the file, `parameters` its weights."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    file: str
    parameters: int


@dataclass(frozen=True)
class Listing:
    """A checkpoint: its form for people, and its tensors in the order of their files."""

    name: str
    form: str
    tensors: tuple[Tensor, ...]

    @property
    def parameters(self) -> int:
        """Weights, without what quantized ones are read with and without constants."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def bytes(self) -> int:
        """Of all tensors, as they are stored."""
        return sum(tensor.bytes for tensor in self.tensors)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        totals = {"parameters": self.parameters, "bytes": self.bytes}
        return {"name": self.name, "form": self.form, **totals, "tensors": [asdict(one) for one in self.tensors]}


@dataclass(frozen=True)
class Stored:
    """A tensor as a file has it, before it is known what stands beside it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    file: str


def counted(stored: Iterable[Stored], packed_bits: int = 4) -> tuple[Tensor, ...]:
    """The same with their parameters; `packed_bits` are those of GPTQ's and AWQ's weights."""
    table = {one.name: one for one in stored}
    return tuple(
        Tensor(one.name, one.shape, one.dtype, one.bytes, one.file, _parameters(one, table, packed_bits))
        for one in table.values()
    )


def _parameters(one: Stored, table: Mapping[str, Stored], packed_bits: int) -> int:
    stem, _, last = one.name.rpartition(".")
    values = math.prod(one.shape)
    if _CONSTANTS.search(one.name) or _BESIDE.search(one.name):
        return 0
    if last in _SCALES and f"{stem}.{_SCALES[last]}" in table:
        return 0
    if one.name.endswith("_scales") and one.name.removesuffix("_scales") + "_blocks" in table:  # MXFP4
        return 0
    if last == "qweight":
        return values * 32 // packed_bits
    if one.dtype == "U8" and (_bitsandbytes(one.name) & table.keys() or one.name.endswith("_blocks")):
        return values * 2  # two of 4 bits in a byte
    return values


def _bitsandbytes(name: str) -> set[str]:
    return {f"{name}.quant_state.bitsandbytes__{kind}" for kind in ("nf4", "fp4")}
