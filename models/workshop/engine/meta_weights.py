"""The weights of Meta's files under Hugging Face's names, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..meta_layout import EMBEDDINGS, HEAD, Params, axis_of, rotated_heads
from ..tensors import Stored
from .pickles import Shards

PIECE = 8_000_000  # bytes that are taken from the files at once


def pieces(shards: Shards, part: Stored, count: int, whole: Stored, params: Params) -> Iterator[Any]:
    """The bytes of a whole tensor in its final order, from `count` files of which each holds such a `part`."""
    import torch

    rows = whole.shape[0]
    heads = rotated_heads(part.name, params)
    step = max(1, PIECE * rows // whole.bytes)
    if heads:  # whole heads, as rows change places within one
        step = max(1, step // params.head_dim) * params.head_dim
    for first in range(0, rows, step):
        found = shards.rows(part.name, axis_of(part, count, params), first, min(rows, first + step))
        if heads:
            found = found.view(-1, params.head_dim // 2, 2, found.shape[1]).transpose(1, 2).reshape(found.shape)
        yield memoryview(found.contiguous().view(torch.uint8).numpy()).cast("B")


def is_tied(shards: Shards, parts: dict[str, Stored], count: int, wholes: dict[str, Stored], params: Params) -> bool:
    """Whether the head has the values of the embeddings, or is not there; ends at the first that differs."""
    if HEAD not in parts:
        return True
    head, embeddings = wholes[HEAD], wholes[EMBEDDINGS]
    if (head.shape, head.dtype) != (embeddings.shape, embeddings.dtype):
        return False
    both = (pieces(shards, parts[name], count, wholes[name], params) for name in (HEAD, EMBEDDINGS))
    return all(one == other for one, other in zip(*both, strict=True))
