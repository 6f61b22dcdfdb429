"""What a base offers to adapters: the sizes of its linear layers by the name of their module."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ...domain.catalog import ModelCard
from ...domain.lora import HEAD
from ...domain.shapes.shape import Shape

_IN_LAYER = re.compile(r"model\.layers\.(0|[1-9][0-9]{0,3})\.((?:[a-z_]{1,32}\.){0,3}[a-z0-9_]{1,32})")


@dataclass(frozen=True)
class Base:
    """The decoder that adapters are for, under the name that they know it by."""

    name: str
    shape: Shape

    @cached_property
    def modules(self) -> dict[str, tuple[int, int]]:
        """(outputs, inputs) of each linear module of the layers by its path."""
        return {
            f"model.layers.{number}.{weight.name.removesuffix('.weight')}": (weight.sizes[0], weight.sizes[1])
            for number, layer in enumerate(self.shape.layers)
            for weight in layer.weights
            if weight.kind == "linear"
        }


@dataclass(frozen=True)
class Linear:
    """One linear module of a base; `layer` is None for the head."""

    name: str
    layer: int | None
    outputs: int
    inputs: int


def base_of(card: ModelCard) -> Base:
    """The base that a card describes."""
    return Base(card.made_from or card.hub_id, card.sizes)


def linear_of(module: str, base: Base) -> Linear | None:
    """The module of that path; of a layer that the base lacks, one of any layer. None when it has none of the kind."""
    if module == HEAD:
        return Linear(HEAD, None, base.shape.vocabulary, base.shape.hidden)
    found = _IN_LAYER.fullmatch(module)
    if not found:
        return None
    layer = int(found[1])
    alike = [layer] if layer < len(base.shape.layers) else range(len(base.shape.layers))
    sizes = next((base.modules[path] for n in alike if (path := f"model.layers.{n}.{found[2]}") in base.modules), None)
    return Linear(found[2].rpartition(".")[2], layer, *sizes) if sizes else None


def has_target(target: str, base: Base) -> bool:
    """Whether a name in an adapter's config can mean a module of the base."""
    return any(path == target or path.endswith("." + target) for path in [HEAD, *base.modules])
