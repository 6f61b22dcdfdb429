"""Which files make up a model, by their names and by an index: safetensors, settings, tokenizer. Never code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ...domain.errors import CorruptWeights, UnsafeWeights
from ...system.files import read_object

CONFIG = "config.json"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")
TOKENIZER_SETTINGS = "tokenizer_config.json"
SETTINGS_FILES = frozenset(
    {
        CONFIG,
        "generation_config.json",
        TOKENIZER_SETTINGS,
        "special_tokens_map.json",
        "added_tokens.json",
        "merges.txt",
        *TOKENIZERS,
        *CHAT_TEMPLATES,
    }
)
LARGEST_INDEX = 50_000_000  # bytes
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")


def weights_entry(names: Iterable[str]) -> str:
    """The file that a loader looks for first: all weights in one, else the index of several; empty without either."""
    present = set(names)
    return next((name for name in (SINGLE, INDEX) if name in present), "")


def wanted_names(names: Iterable[str], model: str) -> list[str]:
    """The files to download, small ones first so that they can be checked; raises UnsafeWeights if no weights are.

    Of weights in several files it is the index, which names the others.
    """
    present = set(names)
    entry = weights_entry(present)
    if not entry:
        raise UnsafeWeights(model=model, reason=_why_none(present))
    if CONFIG not in present:
        raise UnsafeWeights(model=model, reason="it has no config.json")
    return [CONFIG, *sorted((SETTINGS_FILES & present) - {CONFIG}), entry]


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


def has_pickles(names: Iterable[str]) -> bool:
    """Whether there is a weight file that could run code when it is opened."""
    return any(name.endswith(_PICKLES) for name in names)


def is_plain(name: str) -> bool:
    """Whether a file name stays in its folder."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name)) and ".." not in name


def _why_none(names: set[str]) -> str:
    if has_pickles(names):
        return "its weights are only there as pickled files (.bin, .pt), which can run code"
    if any(name.endswith(".gguf") for name in names):
        return "it holds only GGUF files, and which of them to take is not known"
    return f"it has no {SINGLE}"
