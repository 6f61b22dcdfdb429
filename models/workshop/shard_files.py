"""Safetensors written tensor by tensor into files of a largest size; a file appears when it is whole."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..domain.errors import CorruptWeights
from ..system.durable import put, write_text
from ..weights.verify.file_names import INDEX, SINGLE
from ..weights.verify.safetensors_header import read_tensors
from .tensors import Stored

ALIGNED = 8  # bytes, to which a header is padded
METADATA = {"format": "pt"}  # transformers asks for it


def split(tensors: Sequence[Stored], most: int) -> dict[str, list[Stored]]:
    """Which tensors go into which file of at most `most` bytes; one that is larger has a file of its own."""
    files: list[list[Stored]] = [[]]
    for one in tensors:
        if files[-1] and sum(other.bytes for other in files[-1]) + one.bytes > most:
            files.append([])
        files[-1].append(one)
    if len(files) == 1:
        return {SINGLE: files[0]}
    return {f"model-{at:05}-of-{len(files):05}.safetensors": held for at, held in enumerate(files, 1)}


def write(
    path: Path, tensors: Sequence[Stored], data: Callable[[Stored], Iterable[Any]], tick: Callable[[int], None]
) -> None:
    """Write one file of safetensors; `data` gives the bytes of a tensor in pieces, `tick` gets their lengths.

    It is written beside its place, and takes it once it is on the disk.
    """
    header = _header(tensors)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for one in tensors:
            begin = file.tell()
            for piece in data(one):
                file.write(piece)
                tick(len(piece))
            assert file.tell() - begin == one.bytes, one.name
    put(part, path)


def write_index(folder: Path, files: dict[str, list[Stored]]) -> None:
    """Write the index of several files; of a single one there is none."""
    if SINGLE in files:
        return
    total = sum(one.bytes for held in files.values() for one in held)
    named = {one.name: file for file, held in files.items() for one in held}
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": dict(sorted(named.items()))}, indent=2)
    write_text(folder / INDEX, text + "\n")


def is_written(path: Path, tensors: Sequence[Stored]) -> bool:
    """Whether a file is there whole and with these tensors."""
    try:
        held = read_tensors(path)
    except (CorruptWeights, OSError):
        return False
    found = {name: (one.shape, one.dtype) for name, one in held.items()}
    return found == {one.name: (one.shape, one.dtype) for one in tensors}


def _header(tensors: Iterable[Stored]) -> bytes:
    header: dict[str, Any] = {"__metadata__": METADATA}
    for one, begin in _placed(tensors):
        header[one.name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [begin, begin + one.bytes]}
    raw = json.dumps(header, separators=(",", ":")).encode()
    return raw + b" " * (-len(raw) % ALIGNED)


def _placed(tensors: Iterable[Stored]) -> Iterator[tuple[Stored, int]]:
    at = 0
    for one in tensors:
        yield one, at
        at += one.bytes
