"""Is a folder of weights safe and whole? Asked before anything else reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...domain.catalog import DEQUANTIZED
from ...domain.errors import CorruptWeights, UnsafeWeights
from ...domain.shapes.read import text_config
from ...system.files import read_object
from . import checkpoints, token_ids
from .architectures import check_model_type, read_context, shape_of
from .expected_tensors import check_complete
from .file_names import CONFIG, INDEX, SETTINGS_FILES, weight_files, weight_map, weights_entry
from .safetensors_header import read_tensors

LARGEST_CONFIG = 1_000_000  # bytes
LARGEST_TOKENIZER_CONFIG = 20_000_000
ADAPTER_CONFIG = "adapter_config.json"  # transformers loads an adapter that lies beside the weights without being asked
_ATTENTION = frozenset({"eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"})


def read_config(folder: Path, model: str) -> dict[str, Any]:
    """The config.json of a folder: known architecture, sane sizes, known quantization, no reference to code.

    Raises CorruptWeights when it cannot be read, UnsafeWeights when it may not be used.
    """
    config = read_object(folder / CONFIG, LARGEST_CONFIG)
    refuse_code(config, CONFIG, model)
    check_model_type(config, model)
    shape = shape_of(config, model)
    for part in (config, text_config(config)):
        token_ids.check_settings(part, CONFIG, shape.vocabulary, model)
    read_context(config, model)
    checkpoints.read_checkpoint(config, model)
    for key, value in _pairs(config):
        known = key == checkpoints.FIELD and value is config.get(checkpoints.FIELD)
        if key in (checkpoints.FIELD, "compression_config") and value and not known:
            raise UnsafeWeights(model=model, reason=f"its {CONFIG} says twice how its weights are quantized ({key})")
    return config


def refuse_code(data: dict[str, Any], file: str, model: str) -> None:
    """Raise UnsafeWeights when settings point at Python code or at a kernel to be downloaded."""
    for key, value in _pairs(data):
        if key in ("auto_map", "custom_pipelines", "custom_generate", "trust_remote_code") and value:
            raise UnsafeWeights(model=model, reason=f"its {file} refers to code of its own ({key})")
        if "kernel" in key and value and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise UnsafeWeights(model=model, reason=f"its {file} asks for a kernel ({key[:60]})")
        if "attn_implementation" in key and value is not None and value not in _ATTENTION:
            raise UnsafeWeights(model=model, reason=f"its {file} asks for an attention of its own ({str(value)[:60]})")


def check_folder(folder: Path, model: str, inside: Path | None = None, checkpoint: str = "") -> list[Path]:
    """Check a whole folder and return the files that a loader will use.

    `inside` is the folder that no link may leave, `checkpoint` the mode that the weights are quantized for (empty:
    they are plain). Costs milliseconds: weights are judged by header and size.
    Raises CorruptWeights or UnsafeWeights, each naming the file.
    """
    names = {path.name for path in folder.iterdir()}
    if ADAPTER_CONFIG in names:
        raise UnsafeWeights(model=model, reason=f"an {ADAPTER_CONFIG} lies beside its weights")
    weights = weight_files(names, folder)
    index = [INDEX] if weights_entry(names) == INDEX else []
    used = [folder / name for name in [*sorted(SETTINGS_FILES & names), *index, *weights]]
    for path in used:
        check_link(path, inside, model)
    config = read_config(folder, model)
    checkpoints.check_mode(config, model, checkpoint)
    shape = shape_of(config, model)
    for name, limit in (
        ("generation_config.json", LARGEST_CONFIG),
        ("tokenizer_config.json", LARGEST_TOKENIZER_CONFIG),
    ):
        if name in names:
            settings = read_object(folder / name, limit)
            refuse_code(settings, name, model)
            token_ids.check_settings(settings, name, shape.vocabulary, model)
    tensors = _read_tensors(folder, weights, bool(index))
    checkpoints.check_tensors(tensors, checkpoints.read_checkpoint(config, model), model)
    packed = "" if checkpoint == DEQUANTIZED else checkpoint
    check_complete(tensors, shape, packed, (index or weights)[0])
    token_ids.check_tokenizer(folder, shape.vocabulary)
    return used


def check_written(folder: Path, model: str) -> None:
    """Check a folder that was just written, its index to the letter; raises as check_folder."""
    config = read_object(folder / CONFIG, LARGEST_CONFIG)
    checkpoint = checkpoints.read_checkpoint(config, model)
    check_folder(folder, model, checkpoint=checkpoint.mode if checkpoint else "")
    names = {path.name for path in folder.iterdir()}
    if weights_entry(names) == INDEX:
        held = {tensor: file for file in weight_files(names, folder) for tensor in read_tensors(folder / file)}
        if odd := sorted(weight_map(folder / INDEX).items() ^ held.items()):
            raise CorruptWeights(file=INDEX, reason=f"the tensor {odd[0][0][:80]} is not where it says")


def check_link(path: Path, inside: Path | None, model: str) -> None:
    """Raise UnsafeWeights when a file is a link that leaves the folder `inside`."""
    if inside is not None and not path.resolve().is_relative_to(inside.resolve()):
        raise UnsafeWeights(model=model, reason=f"{path.name} is a link to outside of the cache")
    if not path.is_file():
        raise CorruptWeights(file=path.name, reason="it is not a file")


def _read_tensors(folder: Path, weights: list[str], by_index: bool) -> dict[str, tuple[int, ...]]:
    held = {name: tensor.shape for file in weights for name, tensor in read_tensors(folder / file).items()}
    # Loaders read every tensor of the files, so that it does not matter which of them the index gives.
    for tensor, name in weight_map(folder / INDEX).items() if by_index else ():
        if tensor not in held:
            raise CorruptWeights(file=name, reason=f"the tensor {tensor[:80]} that the index names is not in it")
    return held


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
