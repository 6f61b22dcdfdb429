"""Is a safetensors file whole? Answered from its header and its size, without reading the weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..spec.errors import CorruptWeights

LONGEST_HEADER = 100_000_000  # bytes, the limit of the format's own reader
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
_BITS |= {"F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8}
_BITS |= {"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32}
_BITS |= {"I64": 64, "U64": 64, "F64": 64, "C64": 64}


def read_tensors(path: Path) -> dict[str, list[int]]:
    """The shape of each tensor of a file that is whole; raises CorruptWeights that says what is wrong."""
    size = path.stat().st_size
    header, start = _read_header(path, size)
    spans = []
    for name, entry in header.items():
        if name != "__metadata__":
            spans.append((*span(path.name, name, entry), name))
    end = 0
    for begin, stop, name in sorted(spans):
        if begin != end:
            raise CorruptWeights(
                file=path.name, reason=f"the tensor {name[:80]} does not start where the last one ends"
            )
        end = stop
    if start + end != size:
        what = "cut short" if start + end > size else "too long"
        raise CorruptWeights(file=path.name, reason=f"it is {what}: {size:,} bytes instead of {start + end:,}")
    return {name: header[name]["shape"] for _, _, name in spans}


def _read_header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= LONGEST_HEADER:
            raise CorruptWeights(file=path.name, reason="it is not a safetensors file")
        if 8 + length > size:
            raise CorruptWeights(
                file=path.name, reason=f"it is cut short: it ends within its header, at {size:,} bytes"
            )
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise CorruptWeights(file=path.name, reason="its header cannot be read")
    return header, 8 + length


def span(file: str, name: str, entry: Any) -> tuple[int, int]:
    """Where a tensor begins and stops among a file's bytes; raises CorruptWeights unless its shape takes just them."""
    try:
        dtype, shape, (begin, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, stop]
        good = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**63 for n in numbers)
        good = good and (stop - begin) * 8 == math.prod(shape) * _BITS[dtype]
    except (KeyError, TypeError, ValueError):
        good = False
    if not good:
        raise CorruptWeights(file=file, reason=f"its header describes the tensor {name[:80]} wrongly")
    return begin, stop
