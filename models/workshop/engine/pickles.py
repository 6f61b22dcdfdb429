"""torch's own files, mapped: nothing in them is executed, and weights are read when they are used."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from ...domain.errors import CorruptWeights, UnsafePickle
from ...system.files import file_state
from ..tensors import Stored

REMAP = 48_000_000  # bytes that are read from a mapped file before it is mapped anew: they count as this process's
NESTED = ("model", "state_dict", "module")  # where some keep the tensors
DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64", "int32": "I32"}
DTYPES |= {"int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
DTYPES |= {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}  # as safetensors spells them


def open_pickle(path: Path) -> dict[str, Any]:
    """The tensors of a file by their names, mapped; raises UnsafePickle, CorruptWeights."""
    import torch

    try:
        held = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except UnpicklingError as error:
        raise UnsafePickle(file=path.name) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        if "mmap can only be used" in str(error):
            reason = "it is in torch's format from before 2020, which cannot be read without loading it whole"
            raise CorruptWeights(file=path.name, reason=reason) from error
        raise CorruptWeights(file=path.name, reason="it is cut short, or not a file of torch's") from error
    for name in NESTED:
        if isinstance(held, dict) and isinstance(held.get(name), dict):
            held = held[name]
    if not isinstance(held, dict) or not all(isinstance(one, torch.Tensor) for one in held.values()):
        raise CorruptWeights(file=path.name, reason="it is not a table of tensors")
    return dict(held)


def read_pickle(path: Path) -> list[Stored]:
    """What a file holds; raises as `open_pickle`."""
    return [
        Stored(str(name), tuple(one.shape), dtype_of(one), one.nbytes, path.name)
        for name, one in open_pickle(path).items()
    ]


def dtype_of(tensor: Any) -> str:
    """A tensor's type as safetensors spells it."""
    name = str(tensor.dtype).removeprefix("torch.")
    return DTYPES.get(name, name.upper())


class Shards:
    """Files that hold parts of the same tensors; rows are read out of them, and little of them stays in memory."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths, self._read = paths, 0
        self._states = [file_state(path) for path in paths]
        self._held = [open_pickle(path) for path in paths]

    def rows(self, name: str, axis: int | None, first: int, last: int) -> Any:
        """Rows `first` up to `last` of the tensor that the parts make along `axis`; None: every file has it whole.

        Raises CorruptWeights when a file was changed meanwhile.
        """
        import torch

        if self._read > REMAP:
            self._map_anew()
        parts = [held[name] for held in (self._held if axis is not None else self._held[:1])]
        if axis == 1:
            found = torch.cat([part[first:last] for part in parts], dim=1)
        else:
            # A row lies in one part; a range may reach over several.
            each = parts[0].shape[0]
            found = torch.cat(
                [part[max(first - at * each, 0) : max(last - at * each, 0)] for at, part in enumerate(parts)]
            )
        self._read += found.nbytes
        return found

    def _map_anew(self) -> None:
        self._held = []
        for path, state in zip(self._paths, self._states, strict=True):
            if file_state(path) != state:
                raise CorruptWeights(file=path.name, reason="it was replaced while it was read")
        self._held = [open_pickle(path) for path in self._paths]
        self._read = 0
