"""The table of how transformers loads each mode, and whether a repository's own config.json allows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ...domain.errors import EngineFailed, ModeNotPossible
from ...domain.quantization import BITS_AND_BYTES
from ...system.files import read_object
from ...weights.verify.checkpoints import Checkpoint, read_checkpoint
from ...weights.verify.checks import LARGEST_CONFIG
from ...weights.verify.file_names import CONFIG
from ..cpu.packing import pack_linears


@dataclass(frozen=True)
class Recipe:
    """How safetensors become a model; `dtype` is that of what is not quantized.

    `bits` are the arguments of BitsAndBytesConfig for plain weights, `pack` quantizes a model that was read as it is,
    `packages` load weights that can only come quantized.
    """

    dtype: Literal["float32", "bfloat16", "float16"]
    bits: dict[str, Any] = field(default_factory=dict)
    pack: Callable[[Any, Callable[[int, int], None]], None] | None = None
    packages: tuple[str, ...] = ()


RECIPES: dict[str, Recipe] = {
    "fp32": Recipe("float32"),
    "bf16": Recipe("bfloat16"),
    "fp16": Recipe("float16"),
    **{mode: Recipe("bfloat16", bits) for mode, bits in BITS_AND_BYTES.items()},
    "dynamic-int8": Recipe("float32", pack=pack_linears),
    "gptq": Recipe("bfloat16", packages=("gptqmodel", "optimum")),
    "awq": Recipe("bfloat16", packages=("gptqmodel",)),
}


def recipe_for(folder: str, mode: str) -> tuple[Recipe, Checkpoint | None]:
    """The recipe of a mode, and how the folder's weights are quantized already, if they are.

    Raises ModeNotPossible when its config.json says otherwise, EngineFailed when a package is not installed.
    """
    recipe = RECIPES.get(mode)
    if recipe is None:
        raise EngineFailed(detail=f"transformers has no mode called {mode}")
    model = Path(folder).name
    stored = read_checkpoint(read_object(Path(folder, CONFIG), LARGEST_CONFIG), model)
    if stored and stored.mode != mode:
        reason = f"its weights are quantized already, as {stored.mode}"
        raise ModeNotPossible(model=model, mode=mode, reason=reason, possible=stored.mode)
    if not stored and recipe.packages:
        raise ModeNotPossible(model=model, mode=mode, reason="its weights are not quantized", possible="auto")
    for package in recipe.packages:
        if find_spec(package) is None:
            raise EngineFailed(detail=f"loading {mode} weights needs the package {package}, which is not installed")
    return recipe, stored
