"""Is a safetensors file whole, by its header and its size, and are all of its values finite?"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from ...domain.errors import CorruptWeights

LONGEST_HEADER = 100_000_000  # bytes, the limit of the format's own reader
SHORT_HEADER = 4_000_000  # bytes; the tensors of a model of 128 layers take a tenth of it
MOST_DIMENSIONS = 16
PIECE = 1024 * 1024  # bytes that are looked at together: they stay in the processor's cache
# The bits of the exponent: all of them are set in NaN and infinity, and in nothing else.
_EXPONENTS = {"F32": ("<u4", 0x7F80_0000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
FLOATS = tuple(_EXPONENTS)
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
_BITS |= {"F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8}
_BITS |= {"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32}
_BITS |= {"I64": 64, "U64": 64, "F64": 64, "C64": 64}


@dataclass(frozen=True)
class Tensor:
    """A tensor as a header describes it; it lies in the file from byte `begin` up to `end`."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_tensors(path: Path, longest: int = LONGEST_HEADER) -> dict[str, Tensor]:
    """The tensors of a file that is whole and whose header has at most `longest` bytes; raises CorruptWeights."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = header_length(path.name, file.read(8), size, longest)
        return parse(path.name, file.read(length), size)


def header_length(file: str, start: bytes, size: int, longest: int = LONGEST_HEADER) -> int:
    """The bytes of a header, by the first eight of a file of `size` bytes; raises CorruptWeights."""
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= LONGEST_HEADER:
        raise CorruptWeights(file=file, reason="it is not a safetensors file")
    if 8 + length > size:
        raise CorruptWeights(file=file, reason=f"it is cut short: it ends within its header, at {size:,} bytes")
    if length > longest:
        raise CorruptWeights(file=file, reason=f"its header has {length:,} bytes, more than {longest:,}")
    return length


def parse(file: str, raw: bytes, size: int) -> dict[str, Tensor]:
    """The tensors that a header describes, in the order of their bytes; they fill a file of `size` bytes.

    Raises CorruptWeights.
    """
    try:
        header = json.loads(raw, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise CorruptWeights(file=file, reason="its header cannot be read")
    start = 8 + len(raw)
    spans = sorted((*_span(file, name, entry), name) for name, entry in header.items() if name != "__metadata__")
    end = 0
    for begin, stop, name in spans:
        if begin != end:
            raise CorruptWeights(file=file, reason=f"the tensor {_shown(name)} does not start where the last one ends")
        end = stop
    if start + end != size:
        what = "cut short" if start + end > size else "too long"
        raise CorruptWeights(file=file, reason=f"it is {what}: {size:,} bytes instead of {start + end:,}")
    return {
        name: Tensor(header[name]["dtype"], tuple(header[name]["shape"]), start + begin, start + stop)
        for begin, stop, name in spans
    }


def first_infinite(path: Path, tensors: Mapping[str, Tensor], tick: Callable[[int], None] = lambda done: None) -> str:
    """The first tensor of a whole file that holds NaN or infinity; empty when none does. Reads gigabytes a second.

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


def read_fp32(path: Path, tensor: Tensor) -> Any:
    """The values of a tensor of a checked file, whose type is one of FLOATS, as fp32."""
    import numpy

    kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[tensor.dtype]
    stored = numpy.fromfile(path, kind, math.prod(tensor.shape), offset=tensor.begin)
    if tensor.dtype == "BF16":
        stored = (stored.astype("<u4") << 16).view("<f4")
    return stored.astype(numpy.float32, copy=False).reshape(tensor.shape)


def _shown(name: str) -> str:
    return "".join(mark for mark in name[:80] if mark.isprintable())


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two entries of one name, another reader might take the other.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _span(file: str, name: str, entry: Any) -> tuple[int, int]:
    """Where a tensor begins and stops after the header; raises CorruptWeights unless its shape takes these bytes."""
    try:
        dtype, shape, (begin, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, stop]
        good = isinstance(shape, list) and len(shape) <= MOST_DIMENSIONS  # before they are multiplied
        good = good and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**63 for n in numbers)
        good = good and (stop - begin) * 8 == math.prod(shape) * _BITS[dtype]
    except (KeyError, TypeError, ValueError):
        good = False
    if not good:
        raise CorruptWeights(file=file, reason=f"its header describes the tensor {_shown(name)} wrongly")
    return begin, stop


def _scan(file: BufferedReader, name: str, dtype: str, begin: int, end: int, tick: Callable[[int], None]) -> int | None:
    """The byte at which the first bad value of a run begins."""
    import numpy

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
