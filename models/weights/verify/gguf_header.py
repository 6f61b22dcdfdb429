"""A GGUF file's header: its values, its tensor table, and whether the file is whole; the weights are not read."""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...domain.catalog import part_names
from ...domain.errors import CorruptWeights

MAGIC, VERSIONS = b"GGUF", (2, 3)
MOST_TENSORS, MOST_PAIRS, MOST_ITEMS = 100_000, 100_000, 16_000_000
SHORT = 4096  # items of an array of numbers, such as one a layer
_STRING, _ARRAY = 8, 9
_UINT32, _SCALARS = 4, {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# Tensor type -> (weights in a block, bytes of a block); a type that is not here is taken to need no bytes.
BLOCKS: dict[int, tuple[int, int]] = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24)}
BLOCKS |= {8: (32, 34), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)}
BLOCKS |= {16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)}
BLOCKS |= {23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)}
BLOCKS |= {34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18)}


@dataclass(frozen=True)
class Tensor:
    """A line of the tensor table: the shape rows first, `offset` and `bytes` within the data behind the header."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Header:
    """What a header says; `values` has arrays of texts as their lengths, but for those that were asked for."""

    values: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int

    @property
    def bytes_needed(self) -> int:
        """The size that the file must have at least."""
        return self.data_start + max((tensor.offset + tensor.bytes for tensor in self.tensors), default=0)


def check_start(path: Path) -> None:
    """Magic, version and counts only: microseconds. Raises CorruptWeights."""
    with path.open("rb") as file:
        _read_counts(path.name, file.read(24))


def check_whole(path: Path) -> None:
    """Walk the header to where the last tensor ends: tenths of a second. Raises CorruptWeights."""
    size, needed = path.stat().st_size, read_header(path).bytes_needed
    if needed > size:
        raise CorruptWeights(file=path.name, reason=f"it is cut short: {size:,} bytes instead of {needed:,}")


def read_header(path: Path, lists: Collection[str] = ()) -> Header:
    """All that the header says; of long arrays those under the keys `lists`, and the length of others.

    Raises CorruptWeights.
    """
    with path.open("rb") as file:
        tensors, pairs = _read_counts(path.name, file.read(24))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Walk(data).header(tensors, pairs, lists)
            except (struct.error, IndexError, ValueError, OverflowError, MemoryError):
                raise CorruptWeights(file=path.name, reason="its header is cut short or cannot be read") from None


def _read_counts(name: str, head: bytes) -> tuple[int, int]:
    if len(head) < 24 or head[:4] != MAGIC:
        raise CorruptWeights(file=name, reason="it is not a GGUF file")
    version, tensors, pairs = struct.unpack_from("<IQQ", head, 4)
    if version not in VERSIONS:
        raise CorruptWeights(file=name, reason=f"its GGUF version {version} is not 2 or 3")
    least = 0 if len(part_names(name)) > 1 else 1  # the first of several files may hold the values alone
    if not (least <= tensors <= MOST_TENSORS and pairs <= MOST_PAIRS):
        raise CorruptWeights(file=name, reason="its header counts absurdly many tensors or values")
    return tensors, pairs


class _Walk:
    """A position in the file; every read moves it, and a read past the end is a struct.error or ValueError."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at, self.alignment = data, 24, 32

    def header(self, tensors: int, pairs: int, lists: Collection[str]) -> Header:
        values = {}
        for _ in range(pairs):
            key = self.text()
            values[key] = self.value(key, key in lists)
        table = tuple(self.tensor() for _ in range(tensors))
        start = -(-self.at // self.alignment) * self.alignment if table else self.at
        return Header(values, table, start)

    def number(self, code: str) -> Any:
        (value,) = self.numbers(code, 1)
        return value

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{count}{code}", self.data, self.at)
        self.at += struct.calcsize(f"<{count}{code}")
        return values

    def text(self) -> str:
        length = self.number("Q")
        self.at += length
        if self.at > len(self.data):
            raise ValueError("past the end")
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def value(self, key: str, whole: bool) -> Any:
        kind = self.number("I")
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.array(whole)
        if kind not in _SCALARS:
            raise ValueError("unknown value type")
        value = self.number(_SCALARS[kind])
        if key == "general.alignment" and kind == _UINT32:
            self.alignment = max(1, value)
        return value

    def array(self, whole: bool) -> list[Any] | int:
        kind, count = self.number("I"), self.number("Q")
        if count > MOST_ITEMS:
            raise ValueError("absurd array")
        if kind in _SCALARS and (whole or count <= SHORT):
            return list(self.numbers(_SCALARS[kind], count))
        if kind in _SCALARS:  # as long as a vocabulary: nobody asks for it, and it would take 60 bytes a value
            self.at += count * struct.calcsize(_SCALARS[kind])
            if self.at > len(self.data):
                raise ValueError("past the end")
            return int(count)
        if kind != _STRING:
            raise ValueError("arrays of arrays are not used by any model")
        if whole:
            return [self.text() for _ in range(count)]
        # A vocabulary: the one loop here that is long, so it is written without calls.
        unpack, data, at = struct.Struct("<Q").unpack_from, self.data, self.at
        for _ in range(count):
            at += 8 + unpack(data, at)[0]
        self.at = at
        if at > len(data):
            raise ValueError("past the end")
        return int(count)

    def tensor(self) -> Tensor:
        name, dimensions = self.text(), self.number("I")
        if dimensions > 8:
            raise ValueError("absurd tensor")
        shape = self.numbers("Q", dimensions)[::-1]  # stored with the number of columns first
        kind, offset = self.number("I"), self.number("Q")
        block, size = BLOCKS.get(kind, (1, 0))
        return Tensor(name, shape, kind, offset, -(-math.prod(shape) // block) * size)
