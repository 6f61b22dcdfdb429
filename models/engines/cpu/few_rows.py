"""Products of few rows on a CPU, computed so that a row comes out the same, bit by bit, whatever stands beside it.

The libraries add up a product of one row in another order than the same row among many. In bf16 that rounds one
number in some thousand differently, and after some ten tokens a greedy answer takes another way than it does in a
batch. What is said here of them was measured with torch 2.13 on a CPU with AVX512, and is what
tests/models/engines/test_few_rows.py proves wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WIDE = 1024  # inputs; up to this many oneDNN adds up one bf16 row as it adds up many
TILE = 4  # fp32 rows that MKL computes at once; those that are left over it adds up in another order
MANY = 12  # fp32 rows, from which on it does not
OUTPUTS = 16  # of a layer in fp32; with fewer than 12 it adds up in another order


def pair_lone_rows(model: Any) -> None:
    """Make the wide bf16 layers of a model on a CPU multiply a lone row as one of two equal ones.

    Two take 0.8 to 1.1 times as long as one: the time goes into reading the weights.
    """
    import torch

    for module in model.modules():
        if type(module) is not torch.nn.Linear or module.in_features <= WIDE:
            continue
        if module.weight.device.type == "cpu" and module.weight.dtype == torch.bfloat16:
            module.forward = _paired(module)  # no hook: hooks cost each call of a layer 5 microseconds


def _paired(layer: Any) -> Callable[[Any], Any]:
    import torch

    cat, linear = torch.cat, torch.nn.functional.linear

    def forward(x: Any) -> Any:
        if x.numel() != layer.in_features:
            return linear(x, layer.weight, layer.bias)
        return linear(cat((x, x)), layer.weight, layer.bias)[:1]  # copied: a view would be multiplied row by row

    return forward


class FewRows:
    """Room for the rows of an fp32 product on a CPU, which one layer of a model after the other takes.

    It holds whole tiles, of which the last rows may be anything: no row depends on another.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._rooms: dict[tuple[int, ...], tuple[Any, Any] | None] = {}

    def room(self, shape: tuple[int, ...]) -> tuple[Any, Any] | None:
        """The rows for an input or output of [batch, tokens, size], and the first of them in that shape.

        None where it has many rows, which come out as they should anyway, and elsewhere than on a CPU.
        """
        if shape not in self._rooms:
            self._rooms[shape] = _room(*shape) if self._device == "cpu" else None
        return self._rooms[shape]

    def weights(self, weights: Any, shape: tuple[int, ...]) -> Any:
        """Weights of [batch, 1, rank] for the rows of an input of few, [rows, rank]; none for the last ones."""
        import torch

        batch, tokens, _ = shape
        rows = weights.expand(batch, tokens, -1).reshape(batch * tokens, -1)
        return torch.nn.functional.pad(rows, (0, 0, 0, -len(rows) % TILE))


def _room(batch: int, tokens: int, size: int) -> tuple[Any, Any] | None:
    import torch

    count = batch * tokens
    if count >= MANY:
        return None
    rows = torch.zeros(count + -count % TILE, size)
    return rows, rows[:count].view(batch, tokens, size)


def enough_outputs(weight: Any) -> Any:
    """The weights of an fp32 layer on a CPU, [outputs, inputs], with outputs of zero where it has too few."""
    import torch

    if weight.device.type != "cpu" or len(weight) >= OUTPUTS:
        return weight
    return torch.nn.functional.pad(weight, (0, 0, 0, OUTPUTS - len(weight)))
