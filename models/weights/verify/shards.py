"""Which files hold the weights of a model: one file, or those that its index names, whatever they are called."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...domain.errors import CorruptWeights
from .file_names import CONFIG, INDEX, SINGLE, TOKENIZERS, is_plain, weights_entry
from .json_files import read_object

LARGEST_INDEX = 50_000_000  # bytes


def weight_map(path: Path) -> dict[str, str]:
    """Which file holds each tensor, by the index of a model in several files; raises CorruptWeights."""
    named = read_object(path, LARGEST_INDEX).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise CorruptWeights(file=path.name, reason="its list of files cannot be used, because it names none")
    for file in named.values():
        if not isinstance(file, str) or not is_plain(file) or not file.endswith(".safetensors"):
            # A file elsewhere, or one that could run code: neither is read.
            shown = f"“{str(file)[:60]}”"
            reason = f"its list of files cannot be used, because {shown} is no safetensors file in the same folder"
            raise CorruptWeights(file=path.name, reason=reason)
    return dict(named)


def weight_files(names: Iterable[str], folder: Path) -> list[str]:
    """The files that a loader reads the tensors from; empty where there are none. Raises CorruptWeights.

    `folder` holds the index, where the names have one; that the files are there is not said.
    """
    entry = weights_entry(names)
    return sorted(set(weight_map(folder / INDEX).values())) if entry == INDEX else [entry] if entry else []


def missing_names(names: set[str], folder: Path) -> list[str]:
    """What a folder still lacks before it can be loaded; an interrupted download leaves such folders."""
    missing = [CONFIG] if CONFIG not in names else []
    if not names & set(TOKENIZERS):
        missing.append(TOKENIZERS[0])
    weights = weight_files(names, folder) or [SINGLE]
    return missing + [name for name in weights if name not in names]
