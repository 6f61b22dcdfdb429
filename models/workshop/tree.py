"""A listing as a tree of text: layers that are alike share one entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from ..domain.units import size
from .tensors import Listing, Tensor

_NUMBERED = re.compile(r"(.*?)(?<![^.])(\d+)\.(.+)")
Item = tuple[str, Tensor]  # a name, or what of it is left below a layer


def tree(listing: Listing) -> Iterator[str]:
    """The lines: the model as a whole, then its tensors."""
    yield (
        f"{listing.name} · {listing.form} · {len(listing.tensors):,} tensors · "
        f"{listing.parameters:,} parameters · {size(listing.bytes)}"
    )
    yield from _lines([(tensor.name, tensor) for tensor in listing.tensors], "  ")


def _lines(items: Sequence[Item], indent: str) -> Iterator[str]:
    wide = max((len(name) for name, _ in items if not _NUMBERED.fullmatch(name)), default=0)
    for stem, group in groupby(_ordered(items), key=lambda item: item[0]):
        rows = [row for _, row in group]
        if not stem:
            for name, one in rows:
                sizes = " x ".join(map(str, one.shape)) or "scalar"
                yield f"{indent}{name:{wide}}  {sizes:>16}  {one.dtype:6} {one.parameters:>15,}"
            continue
        for first, last, inside in _alike(stem, rows):
            count = last - first + 1
            total = sum(one.parameters for _, one in inside)
            label = f"{stem}{first}" if count == 1 else f"{stem}{first} to {last}"
            yield f"{indent}{label}: {total:,} parameters" + (f" in each of {count}" if count > 1 else "")
            yield from _lines(inside, indent + "  ")


def _ordered(items: Sequence[Item]) -> list[tuple[str, Item]]:
    """What stands in no layer, then what does, each with the name of its list of layers."""
    found = [(match[1] if (match := _NUMBERED.fullmatch(name)) else "", (name, one)) for name, one in items]
    return sorted(found, key=lambda item: item[0])


def _alike(stem: str, rows: Sequence[Item]) -> Iterator[tuple[int, int, list[Item]]]:
    """Runs of layers that have the same tensors: the first, the last, and what is in one."""
    layers: dict[int, list[Item]] = {}
    for name, one in rows:
        layer, _, rest = name.removeprefix(stem).partition(".")
        layers.setdefault(int(layer), []).append((rest, one))
    first = last = -1
    for number in sorted(layers):
        if first >= 0 and number == last + 1 and _look(layers[number]) == _look(layers[first]):
            last = number
            continue
        if first >= 0:
            yield first, last, layers[first]
        first = last = number
    if first >= 0:
        yield first, last, layers[first]


def _look(items: Sequence[Item]) -> list[tuple[str, tuple[int, ...], str]]:
    return sorted((rest, one.shape, one.dtype) for rest, one in items)
