"""The table of how transformers loads each mode, and whether a repository's own config.json allows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ...domain.errors import EngineFailed, ModeNotPossible
from ..cpu.packing import pack_linears
from ..faults import detail_of

Packer = Callable[[Any, Callable[[int, int], None]], None]


@dataclass(frozen=True)
class Recipe:
    """How safetensors become a model; `dtype` is that of what is not quantized.

    `bits` are the arguments of BitsAndBytesConfig for plain weights, `pack` quantizes a model that was read as it is,
    `packages` load weights that can only come quantized.
    """

    dtype: Literal["float32", "bfloat16", "float16"]
    bits: dict[str, Any] = field(default_factory=dict)
    pack: Packer | None = None
    packages: tuple[str, ...] = ()

    @property
    def stage(self) -> Literal["read", "quantize"]:
        """What is done with each tensor that is read."""
        return "quantize" if self.bits else "read"

    @property
    def quantizes(self) -> bool:
        """Whether plain weights become others, so that those of the file are of no more use."""
        return bool(self.bits) or self.pack is not None


def _four_bit(kind: str, double: bool) -> dict[str, Any]:
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": kind,
        "bnb_4bit_use_double_quant": double,
        "bnb_4bit_compute_dtype": "bfloat16",
    }


RECIPES: dict[str, Recipe] = {
    "fp32": Recipe("float32"),
    "bf16": Recipe("bfloat16"),
    "fp16": Recipe("float16"),
    "int8": Recipe("bfloat16", {"load_in_8bit": True}),
    "nf4": Recipe("bfloat16", _four_bit("nf4", double=True)),
    "nf4-single": Recipe("bfloat16", _four_bit("nf4", double=False)),
    "fp4": Recipe("bfloat16", _four_bit("fp4", double=True)),
    "fp4-single": Recipe("bfloat16", _four_bit("fp4", double=False)),
    "dynamic-int8": Recipe("float32", pack=pack_linears),
    "gptq": Recipe("bfloat16", packages=("gptqmodel", "optimum")),
    "awq": Recipe("bfloat16", packages=("gptqmodel",)),
}


def recipe_for(folder: str, mode: str) -> tuple[Recipe, bool]:
    """The recipe of a mode, and whether the folder's weights are quantized already.

    Raises ModeNotPossible when its config.json says otherwise, EngineFailed when a package is not installed.
    """
    recipe = RECIPES.get(mode)
    if recipe is None:
        raise EngineFailed(detail=f"transformers has no mode called {mode}")
    stored = stored_mode(folder)
    if stored and stored != mode:
        raise _refused(folder, mode, f"its weights are quantized already, as {stored}", stored)
    if not stored and recipe.packages:
        raise _refused(folder, mode, "its weights are not quantized", "auto")
    for package in recipe.packages:
        if find_spec(package) is None:
            raise EngineFailed(detail=f"loading {mode} weights needs the package {package}, which is not installed")
    return recipe, bool(stored)


def _refused(folder: str, mode: str, reason: str, possible: str) -> ModeNotPossible:
    return ModeNotPossible(model=Path(folder).name, mode=mode, reason=reason, possible=possible)


def stored_mode(folder: str) -> str:
    """The mode that the weights of a folder are quantized for by its config.json; empty when they are plain."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineFailed(detail=f"config.json cannot be read, {detail_of(error)}") from error
    stated = config.get("quantization_config") or {}
    if stated.get("load_in_8bit"):
        return "int8"
    if stated.get("load_in_4bit"):
        kind = stated.get("bnb_4bit_quant_type", "fp4")
        return str(kind if stated.get("bnb_4bit_use_double_quant") else f"{kind}-single")
    return str(stated.get("quant_method", "something unknown")) if stated else ""
