"""Which files of a repository are taken, by name alone: weights as safetensors, settings, tokenizer. Never code."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...domain.errors import UnsafeWeights

CONFIG = "config.json"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")
SETTINGS_FILES = frozenset(
    {
        CONFIG,
        "generation_config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "merges.txt",
        *TOKENIZERS,
        *CHAT_TEMPLATES,
    }
)
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
