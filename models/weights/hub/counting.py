"""How many parameters a model really has: counted in the headers of its weight files, here or on the Hub."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ...domain.catalog import Shape
from ...domain.errors import CorruptWeights
from ..verify.file_names import INDEX, weight_files, weight_map, weights_entry
from ..verify.safetensors_header import Tensor, read_tensors
from .question import Question, Repository

MOST_FILES = 64  # of a model whose headers are fetched
AT_ONCE = 4
Headers = Iterable[Mapping[str, Tensor]]


def count_folder(folder: Path, shape: Shape) -> int | None:
    """The parameters of a folder of plain weights; None where they are not all there."""
    try:
        names = {path.name for path in folder.iterdir()}
        return _count(folder, names, shape, lambda files: map(read_tensors, [folder / name for name in files]))
    except (CorruptWeights, OSError):
        return None


def count_on_hub(question: Question, found: Repository, shape: Shape) -> int | None:
    """The same of a repository, whose index is here if it has one, from the first bytes of its files.

    Raises TimeoutError, CorruptWeights, or HTTP's errors. The library's own get_safetensors_metadata takes a shape as
    it stands, whatever the bytes say, and headers of six times the size.
    """
    pool = ThreadPoolExecutor(AT_ONCE)

    def read(files: list[str]) -> Headers:
        if len(files) > MOST_FILES:
            raise CorruptWeights(file=INDEX, reason=f"it names more than {MOST_FILES} files")
        return pool.map(partial(question.header, found), files, timeout=question.timeout_s)

    try:
        return _count(found.folder, found.sizes, shape, read)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _count(folder: Path, names: Collection[str], shape: Shape, read: Callable[[list[str]], Headers]) -> int | None:
    """Parameters as a loader makes them: a tied head is none of its own; None where there are none."""
    files = weight_files(names, folder)
    if not set(files) <= set(names):
        return None
    # Only what the index names is loaded: a repository may hold the files of an older split too.
    named = weight_map(folder / INDEX) if weights_entry(names) == INDEX else None
    total = 0
    for file, tensors in zip(files, read(files), strict=True):
        for name, tensor in tensors.items():
            tied = shape.tied_embeddings and name == "lm_head.weight"
            constant = name.endswith("rotary_emb.inv_freq")  # that old files hold
            if not tied and not constant and (named is None or named.get(name) == file):
                total += math.prod(tensor.shape)
    return total or None
