"""What a base offers to adapters: the sizes of its linear layers by the name of their module."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ...domain.catalog import ModelCard, Shape
from ..verify.expected_tensors import linears

HEAD = "lm_head"
_IN_LAYER = re.compile(r"model\.layers\.(0|[1-9][0-9]{0,3})\.(self_attn|mlp)\.([a-z_]{1,32})")


@dataclass(frozen=True)
class Base:
    """A Llama-like decoder; `fused` says that it has qkv_proj and gate_up_proj, as Phi-3, instead of their parts."""

    name: str
    shape: Shape
    fused: bool = False

    @cached_property
    def layers(self) -> dict[str, tuple[str, int, int]]:
        """(part of the layer, outputs, inputs) of the linear modules of one layer."""
        return linears(self.shape, self.fused)


@dataclass(frozen=True)
class Linear:
    """One linear module of a base; `layer` is None for the head."""

    name: str
    layer: int | None
    outputs: int
    inputs: int


def base_of(card: ModelCard) -> Base:
    """The base that a card describes, under the name that adapters know it by."""
    return Base(card.made_from or card.hub_id, card.sizes, card.family.lower().startswith("phi"))


def linear_of(module: str, base: Base) -> Linear | None:
    """The module of that path, whatever its layer's number; None when the base has nothing of the kind."""
    if module == HEAD:
        return Linear(HEAD, None, base.shape.vocabulary, base.shape.hidden)
    found = _IN_LAYER.fullmatch(module)
    known = base.layers.get(found[3]) if found else None
    if not found or not known or known[0] != found[2]:
        return None
    return Linear(found[3], int(found[1]), known[1], known[2])


def has_target(target: str, base: Base) -> bool:
    """Whether a name in an adapter's config can mean a module of the base."""
    paths = [f"model.layers.0.{part}.{name}" for name, (part, *_) in base.layers.items()]
    # A target may name the layer too.
    wanted = re.sub(r"(?<=layers\.)[0-9]+(?=\.)", "0", target)
    return any(path == wanted or path.endswith("." + wanted) for path in [HEAD, *paths])
