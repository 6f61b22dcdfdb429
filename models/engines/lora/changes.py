"""What LoRA adapters add to the linear layers of a model: weight * scaling * B (A x), as forward hooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Names = tuple[str, ...]  # of layers that read the same input


@dataclass(frozen=True, eq=False)
class Held:
    """An attached adapter: the matrices A [rank, inputs] and B transposed [rank, outputs] of each module, and their
    scaling. That way round a product for one token takes half the time. The A of siblings lie in one piece, `stacked`.
    """

    key: str
    name: str
    matrices: dict[str, tuple[Any, Any, float]]
    stacked: dict[Names, Any]
    bytes: int


Part = tuple[str, float, Held]  # how it is spelled, its weight, its matrices


def changes(names: Names, rows: Sequence[Sequence[Part]]) -> Iterator[tuple[str, Change]]:
    """The hooks of siblings. One adapter's matrices are used as they are; several are stacked layer by layer, each of
    them once whichever rows it acts on, so that any number costs one product for the siblings and one for each.
    """
    import torch

    used = {held.key: held for row in rows for _, _, held in row if names in held.stacked}
    held = [used[key] for key in sorted(used)]  # whatever rows there are, so that a row adds them up in one order
    layers = {name: on for name in names if (on := [each for each in held if name in each.matrices])}
    pieces = [(each, *each.matrices[name]) for name, on in layers.items() for each in on]
    if not pieces:
        return
    weights = [
        [value for each, a, _, scaling in pieces for value in [_weight(row, each) * scaling] * len(a)] for row in rows
    ]
    a = held[0].stacked[names] if len(held) == 1 else torch.cat([a for _, a, _, _ in pieces])
    ranks = [sum(len(each.matrices[name][0]) for each in on) for name, on in layers.items()]
    low = _Low(a, ranks, torch.tensor(weights, dtype=torch.float32, device=a.device)[:, None])
    for place, (name, on) in enumerate(layers.items()):
        spelled = tuple(tuple(spelled for spelled, _, each in row if each in on) for row in rows)
        b = [each.matrices[name][1] for each in on]
        yield name, Change(spelled, low, place, b[0] if len(b) == 1 else torch.cat(b))


def _weight(row: Sequence[Part], held: Held) -> float:
    return sum(weight for _, weight, each in row if each is held)


class _Low:
    """A x of siblings, weighted by row: computed for the first of them that asks, dropped after the last."""

    __slots__ = ("a", "linear", "low", "ranks", "starts", "weights", "x")

    def __init__(self, a: Any, ranks: list[int], weights: Any) -> None:
        import torch

        self.a, self.ranks, self.weights = a, ranks, weights
        self.starts = [sum(ranks[:place]) for place in range(len(ranks))]
        self.x = self.low = None
        self.linear = torch.nn.functional.linear

    def of(self, x: Any, place: int) -> Any:
        """What the sibling at `place` multiplies with its B: [batch, tokens, rank]."""
        if x is not self.x:
            self.x, self.low = x, self.linear(x.to(self.a.dtype), self.a).mul_(self.weights)
        low: Any = self.low
        if place == len(self.ranks) - 1:
            self.x = self.low = None
        return low if low.shape[-1] == self.ranks[place] else low.narrow(-1, self.starts[place], self.ranks[place])


class Change:
    """A forward hook that adds what adapters change about one linear layer, the one at `place` among its siblings."""

    __slots__ = ("b", "low", "place", "spelled")

    def __init__(self, spelled: tuple[tuple[str, ...], ...], low: _Low, place: int, b: Any) -> None:
        self.spelled, self.low, self.place, self.b = spelled, low, place, b

    def __call__(self, module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        return output.add_(self.low.of(inputs[0], self.place).matmul(self.b))

    def matrix(self) -> Any:
        """What would have to be added to the layer's weights for the first row, in fp32, [outputs, inputs]."""
        at = slice(self.low.starts[self.place], self.low.starts[self.place] + self.low.ranks[self.place])
        a, weights = self.low.a[at], self.low.weights[0, 0, at]
        return self.b.float().t() @ (weights[:, None] * a.float())
