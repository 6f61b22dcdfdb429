"""How many parameters a model really has: counted in the headers of its weight files, here or on the Hub."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

from ...domain.catalog import Shape
from ...domain.errors import CorruptWeights
from ..verify.file_names import INDEX, SINGLE
from ..verify.safetensors_header import Tensor, header_length, parse, read_tensors
from ..verify.shards import missing_names, weight_files, weight_map

MOST_FILES = 64  # of a model whose headers are fetched
AT_ONCE = 8
FIRST_BYTES = 100_000
LONGEST_ON_HUB = 25_000_000  # bytes of a header that are fetched


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
        weights = weight_files(names, folder)
        if not weights or missing_names(names, folder):
            return None
        return count(_merged(folder, {name: read_tensors(folder / name) for name in weights}), shape)
    except (CorruptWeights, OSError):
        return None


def count_on_hub(request: dict[str, Any], commit: str, folder: Path, sizes: dict[str, int], shape: Shape) -> int | None:
    """The same of a repository, from the first bytes of its files; None where that takes longer than the time-out.

    `folder` holds the index of a model in several files. For a process that ends without waiting for its threads.
    """
    files = weight_files(sizes, folder)
    if len(files) > MOST_FILES or not set(files) <= set(sizes):
        return None
    pool = ThreadPoolExecutor(AT_ONCE)
    asked = {pool.submit(_header, request, commit, name, sizes[name]): name for name in files}
    done, late = wait_for(asked, timeout=request["timeout_s"])
    pool.shutdown(wait=False, cancel_futures=True)
    if late or any(future.exception() for future in done):
        return None
    return count(_merged(folder, {asked[future]: future.result() for future in done}), shape)


def header_on_hub(
    request: dict[str, Any], commit: str, name: str, size: int, longest: int = LONGEST_ON_HUB
) -> dict[str, Tensor]:
    """The tensors of a repository's safetensors file, from its first bytes; raises CorruptWeights, or HTTP's errors."""
    from huggingface_hub import get_session, hf_hub_url

    url = hf_hub_url(request["repo"], name, revision=commit, endpoint=request["endpoint"])
    headers = {"authorization": f"Bearer {request['token']}"} if request["token"] else {}

    def read(first: int, last: int) -> bytes:
        asked = {**headers, "range": f"bytes={first}-{last}"}
        response = get_session().get(url, headers=asked, timeout=request["timeout_s"])
        response.raise_for_status()
        part: bytes = response.content
        return part if response.status_code == 206 else part[first : last + 1]

    start = read(0, FIRST_BYTES)  # most headers are shorter
    length = header_length(name, start[:8], size, longest)
    return parse(name, start[8 : 8 + length] if 8 + length <= len(start) else read(8, 7 + length), size)


def _header(request: dict[str, Any], commit: str, name: str, size: int) -> dict[str, list[int]]:
    return {tensor: list(found.shape) for tensor, found in header_on_hub(request, commit, name, size).items()}


def _merged(folder: Path, held: dict[str, dict[str, list[int]]]) -> dict[str, list[int]]:
    if not (folder / INDEX).is_file() or list(held) == [SINGLE]:
        return {tensor: sizes for file in held.values() for tensor, sizes in file.items()}
    # Only what the index names is loaded: a repository may hold the files of an older split too.
    named = weight_map(folder / INDEX)
    return {tensor: held[file][tensor] for tensor, file in named.items() if tensor in held.get(file, ())}
