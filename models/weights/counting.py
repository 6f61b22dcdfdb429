"""How many parameters a model really has: counted in the headers of its weight files, here or on the Hub."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

from ..spec.catalog import Shape
from ..spec.errors import CorruptWeights
from . import checks
from .file_names import INDEX, weight_names
from .safetensors_header import read_tensors, span

MOST_FILES = 64  # of a model whose headers are fetched
AT_ONCE = 8


def count(tensors: Mapping[str, list[int]], shape: Shape) -> int | None:
    """Parameters of tensors by their shapes, as a loader makes them: a tied head is none of its own; None of none."""
    tied = {"lm_head.weight"} if shape.tied_embeddings else set()
    numbers = [
        math.prod(sizes)
        for name, sizes in tensors.items()
        if name not in tied and not name.endswith("rotary_emb.inv_freq")  # a constant that old files hold
    ]
    return sum(numbers) or None


def count_folder(folder: Path, shape: Shape) -> int | None:
    """The parameters of a folder of plain weights; None where they are not all there."""
    try:
        names = {path.name for path in folder.iterdir()}
        weights = weight_names(names)
        if not weights or checks.missing_names(names, folder):
            return None
        return count(_merged(folder, {name: read_tensors(folder / name) for name in weights if name != INDEX}), shape)
    except (CorruptWeights, OSError):
        return None


def count_on_hub(request: dict[str, Any], commit: str, folder: Path, sizes: dict[str, int], shape: Shape) -> int | None:
    """The same of a repository, from the first bytes of its files; None where that takes longer than the time-out.

    `folder` holds the index of a model in several files. For a process that ends without waiting for its threads.
    """
    files = [name for name in weight_names(sizes) if name != INDEX]
    if len(files) > MOST_FILES:
        return None
    pool = ThreadPoolExecutor(AT_ONCE)
    asked = {pool.submit(_header, request, commit, name, sizes[name]): name for name in files}
    done, late = wait_for(asked, timeout=request["timeout_s"])
    pool.shutdown(wait=False, cancel_futures=True)
    if late or any(future.exception() for future in done):
        return None
    return count(_merged(folder, {asked[future]: future.result() for future in done}), shape)


def _header(request: dict[str, Any], commit: str, name: str, size: int) -> dict[str, list[int]]:
    from huggingface_hub import HfApi

    found = HfApi(endpoint=request["endpoint"], token=request["token"] or False).parse_safetensors_file_metadata(
        request["repo"], name, revision=commit, timeout=request["timeout_s"]
    )
    for tensor, info in found.tensors.items():
        entry = {"dtype": info.dtype, "shape": info.shape, "data_offsets": info.data_offsets}
        if span(name, tensor, entry)[1] > size:
            raise CorruptWeights(file=name, reason=f"the tensor {tensor[:80]} ends after the file")
    return {tensor: info.shape for tensor, info in found.tensors.items()}


def _merged(folder: Path, held: dict[str, dict[str, list[int]]]) -> dict[str, list[int]]:
    if not (folder / INDEX).is_file() or (len(held) == 1 and "model.safetensors" in held):
        return {tensor: sizes for file in held.values() for tensor, sizes in file.items()}
    # Only what the index names is loaded: a repository may hold the files of an older split too.
    named = checks.weight_map(folder / INDEX)
    return {tensor: held[file][tensor] for tensor, file in named.items() if tensor in held.get(file, ())}
