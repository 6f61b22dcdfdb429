"""Is a GGUF file whole? Answered from its header, key-value pairs and tensor table, without reading the weights."""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path

from ...domain.errors import CorruptWeights
from ...domain.gguf_parts import part_names

MAGIC, VERSIONS = b"GGUF", (2, 3)
MOST_TENSORS, MOST_PAIRS, MOST_ITEMS = 100_000, 100_000, 16_000_000
_STRING, _ARRAY = 8, 9
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # value type -> bytes
# Tensor type -> (weights in a block, bytes of a block); a type that is not here is taken to need no bytes.
BLOCKS: dict[int, tuple[int, int]] = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24)}
BLOCKS |= {8: (32, 34), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)}
BLOCKS |= {16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)}
BLOCKS |= {23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)}
BLOCKS |= {34: (256, 54), 35: (256, 66), 39: (32, 17)}


def check_start(path: Path) -> None:
    """Magic, version and counts only: microseconds. Raises CorruptWeights."""
    with path.open("rb") as file:
        _read_counts(path.name, file.read(24))


def check_whole(path: Path) -> None:
    """Walk the header to where the last tensor ends: tenths of a second. Raises CorruptWeights."""
    size = path.stat().st_size
    with path.open("rb") as file:
        _read_counts(path.name, file.read(24))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                needed = _Walk(path.name, data).bytes_needed()
            except (struct.error, IndexError, ValueError, OverflowError):
                raise CorruptWeights(file=path.name, reason="its header is cut short or cannot be read") from None
    if needed > size:
        raise CorruptWeights(file=path.name, reason=f"it is cut short: {size:,} bytes instead of {needed:,}")


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
    """A position in the file; every read moves it, and a read past the end is a struct.error."""

    def __init__(self, name: str, data: mmap.mmap) -> None:
        self.data, self.at = data, 24
        self.tensors, self.pairs = _read_counts(name, data[:24])
        self.alignment = 32

    def bytes_needed(self) -> int:
        """The size that the file must have at least."""
        for _ in range(self.pairs):
            key = self.text()
            self.value(key)
        ends = [self.tensor_end() for _ in range(self.tensors)]
        start = -(-self.at // self.alignment) * self.alignment
        return start + max(ends) if ends else self.at

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from(code, self.data, self.at)
        self.at += struct.calcsize(code)
        return int(value)

    def text(self) -> str:
        length = self.number("<Q")
        self.skip(length)
        return self.data[self.at - length : self.at].decode("utf-8", "replace") if length < 200 else ""

    def skip(self, length: int) -> None:
        self.at += length
        if self.at > len(self.data):
            raise ValueError("past the end")

    def value(self, key: str) -> None:
        kind = self.number("<I")
        if key == "general.alignment" and kind == 4:
            self.alignment = max(1, self.number("<I"))
        elif kind == _STRING:
            self.skip(self.number("<Q"))
        elif kind == _ARRAY:
            self.array()
        elif kind in _SCALARS:
            self.skip(_SCALARS[kind])
        else:
            raise ValueError("unknown value type")

    def array(self) -> None:
        kind, count = self.number("<I"), self.number("<Q")
        if count > MOST_ITEMS:
            raise ValueError("absurd array")
        if kind in _SCALARS:
            self.skip(count * _SCALARS[kind])
        elif kind == _STRING:
            self.strings(count)
        else:
            raise ValueError("arrays of arrays are not used by any model")

    def strings(self, count: int) -> None:
        # A vocabulary: the one loop here that is long, so it is written without calls.
        unpack, data, at = struct.Struct("<Q").unpack_from, self.data, self.at
        for _ in range(count):
            at += 8 + unpack(data, at)[0]
        self.at = at
        self.skip(0)

    def tensor_end(self) -> int:
        self.skip(self.number("<Q"))
        dimensions = self.number("<I")
        if dimensions > 8:
            raise ValueError("absurd tensor")
        weights = math.prod(self.number("<Q") for _ in range(dimensions))
        kind, offset = self.number("<I"), self.number("<Q")
        block, size = BLOCKS.get(kind, (1, 0))
        return offset + -(-weights // block) * size
