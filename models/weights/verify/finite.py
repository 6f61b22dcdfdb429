"""Does a file of weights hold NaN or infinity? Every value is looked at, a few gigabytes a second."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from io import BufferedReader
from pathlib import Path

from ...domain.errors import CorruptWeights
from .safetensors_header import Tensor

PIECE = 1024 * 1024  # bytes that are looked at together: they stay in the processor's cache
# The bits of the exponent: all of them are set in NaN and infinity, and in nothing else.
_EXPONENTS = {"F32": ("<u4", 0x7F80_0000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
DTYPES = tuple(_EXPONENTS)


def first_infinite(path: Path, tensors: Mapping[str, Tensor], tick: Callable[[int], None] = lambda done: None) -> str:
    """The first tensor of a whole file that holds NaN or infinity; empty when none does.

    `tick` is called with the bytes so far. Raises CorruptWeights when the file becomes shorter meanwhile.
    """
    order = sorted(tensors.items(), key=lambda item: item[1].begin)
    # Read and not mapped: a mapped file that somebody cuts short ends the process.
    with path.open("rb") as file:
        for dtype, group in itertools.groupby(order, key=lambda item: item[1].dtype):
            run = list(group)
            at = _scan(file, path.name, dtype, run[0][1].begin, run[-1][1].end, tick)
            if at is not None:
                return next(name for name, tensor in run if tensor.begin <= at < tensor.end)
    return ""


def _scan(file: BufferedReader, name: str, dtype: str, begin: int, end: int, tick: Callable[[int], None]) -> int | None:
    """The byte at which the first bad value of a run begins."""
    import numpy  # here, because the process that talks to the Hub needs none

    kind, mask = _EXPONENTS[dtype]
    buffer = bytearray(PIECE)
    values = numpy.frombuffer(buffer, kind)
    file.seek(begin)
    for at in range(begin, end, PIECE):
        wanted = min(PIECE, end - at)
        if file.readinto(memoryview(buffer)[:wanted]) != wanted:
            raise CorruptWeights(file=name, reason="it is cut short")
        part = values[: wanted // values.itemsize]
        part &= mask
        if part.size and part.max() == mask:
            return at + int(numpy.argmax(part == mask)) * values.itemsize
        tick(at + wanted)
    return None
