"""Is a folder of weights safe and whole? Asked before anything else reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..spec.errors import CorruptWeights, UnsafeWeights
from . import checkpoints
from .architectures import read_context, read_shape
from .file_names import CONFIG, INDEX, SETTINGS_FILES, SINGLE, TOKENIZERS, is_plain, weight_names
from .safetensors_header import read_tensors

LARGEST_CONFIG = 1_000_000  # bytes
LARGEST_INDEX = 50_000_000
LARGEST_TOKENIZER_CONFIG = 20_000_000
ADAPTER_CONFIG = "adapter_config.json"  # transformers loads an adapter that lies beside the weights without being asked
_ATTENTION = frozenset({"eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"})


def read_config(folder: Path, model: str) -> dict[str, Any]:
    """The config.json of a folder: known architecture, sane sizes, known quantization, no reference to code.

    Raises CorruptWeights when it cannot be read, UnsafeWeights when it may not be used.
    """
    config = read_object(folder / CONFIG, LARGEST_CONFIG)
    refuse_code(config, CONFIG, model)
    read_shape(config, model)
    read_context(config, model)
    checkpoints.read_checkpoint(config, model)
    for key, value in _pairs(config):
        known = key == checkpoints.FIELD and value is config.get(checkpoints.FIELD)
        if key in (checkpoints.FIELD, "compression_config") and value and not known:
            raise UnsafeWeights(model=model, reason=f"its {CONFIG} says twice how its weights are quantized ({key})")
    return config


def read_object(path: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file of at most `limit` bytes; raises CorruptWeights."""
    size = path.stat().st_size
    if size > limit:
        raise CorruptWeights(file=path.name, reason=f"it has {size:,} bytes, more than {limit:,}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise CorruptWeights(file=path.name, reason="it is not a JSON object")
    return data


def refuse_code(data: dict[str, Any], file: str, model: str) -> None:
    """Raise UnsafeWeights when settings point at Python code or at a kernel to be downloaded."""
    for key, value in _pairs(data):
        if key in ("auto_map", "custom_pipelines", "custom_generate", "trust_remote_code") and value:
            raise UnsafeWeights(model=model, reason=f"its {file} refers to code of its own ({key})")
        if "kernel" in key and value and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise UnsafeWeights(model=model, reason=f"its {file} asks for a kernel ({key[:60]})")
        if "attn_implementation" in key and value is not None and value not in _ATTENTION:
            raise UnsafeWeights(model=model, reason=f"its {file} asks for an attention of its own ({str(value)[:60]})")


def missing_names(names: set[str], folder: Path) -> list[str]:
    """What a folder still lacks before it can be loaded; an interrupted download leaves such folders."""
    missing = [CONFIG] if CONFIG not in names else []
    if not names & set(TOKENIZERS):
        missing.append(TOKENIZERS[0])
    weights = weight_names(names)
    if not weights:
        missing.append(SINGLE)
    elif weights[0] == INDEX:
        missing += sorted(set(weight_map(folder / INDEX).values()) - names)
    return missing


def check_folder(folder: Path, model: str, inside: Path | None = None, checkpoint: str = "") -> list[Path]:
    """Check a whole folder and return the files that a loader will use.

    `inside` is the folder that no link may leave, `checkpoint` the mode that the weights are quantized for (empty:
    they are plain). Costs milliseconds: weights are judged by header and size.
    Raises CorruptWeights or UnsafeWeights, each naming the file.
    """
    names = {path.name for path in folder.iterdir()}
    if ADAPTER_CONFIG in names:
        raise UnsafeWeights(model=model, reason=f"an {ADAPTER_CONFIG} lies beside its weights")
    used = [folder / name for name in sorted(SETTINGS_FILES & names) + weight_names(names)]
    for path in used:
        check_link(path, inside, model)
    config = read_config(folder, model)
    checkpoints.check_mode(config, model, checkpoint)
    for name, limit in (
        ("generation_config.json", LARGEST_CONFIG),
        ("tokenizer_config.json", LARGEST_TOKENIZER_CONFIG),
    ):
        if name in names:
            refuse_code(read_object(folder / name, limit), name, model)
    tensors = _check_weights(folder, weight_names(names))
    checkpoints.check_tensors(tensors, checkpoints.read_checkpoint(config, model), model)
    return used


def check_link(path: Path, inside: Path | None, model: str) -> None:
    """Raise UnsafeWeights when a file is a link that leaves the folder `inside`."""
    if inside is not None and not path.resolve().is_relative_to(inside.resolve()):
        raise UnsafeWeights(model=model, reason=f"{path.name} is a link to outside of the cache")
    if not path.is_file():
        raise CorruptWeights(file=path.name, reason="it is not a file")


def _check_weights(folder: Path, weights: list[str]) -> set[str]:
    held = {name: set(read_tensors(folder / name)) for name in weights if name != INDEX}
    for tensor, name in weight_map(folder / INDEX).items() if INDEX in weights else ():
        if tensor not in held.get(name, ()):
            raise CorruptWeights(file=name, reason=f"the tensor {tensor[:80]} that the index names is not in it")
    return set().union(*held.values())


def weight_map(path: Path) -> dict[str, str]:
    """Which file holds each tensor, by the index of a model in several files; raises CorruptWeights."""
    named = read_object(path, LARGEST_INDEX).get("weight_map")
    if (
        not isinstance(named, dict)
        or not named
        or not all(isinstance(file, str) and is_plain(file) for file in named.values())
    ):
        raise CorruptWeights(file=path.name, reason="its list of files cannot be used")
    return dict(named)


def _pairs(data: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth > 20:
        return
    if isinstance(data, dict):
        for key, value in data.items():
            yield str(key), value
            yield from _pairs(value, depth + 1)
    elif isinstance(data, list):
        for item in data:
            yield from _pairs(item, depth + 1)
