"""Any variant of transformers as a folder of safetensors: as it is stored, quantized, or with its adapters merged."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..compute.background import OnProgress
from ..domain.errors import CannotSave, CorruptWeights, OutputExists
from ..domain.messages import Progress
from ..domain.quantization import MODES
from ..domain.variant import AUTO, Variant
from ..runtime import Runtime
from ..system.durable import unfinished, write_text
from ..system.files import read_object, state_of
from ..training.engine.merging import copy_settings, write_merged
from ..training.made import FILE
from ..training.merge import MODES as PLAIN
from ..training.merge import merge
from ..weights.disk import writing
from ..weights.fetch_errors import require_space
from ..weights.verify.checkpoints import read_checkpoint
from ..weights.verify.checks import LARGEST_CONFIG, check_written
from ..weights.verify.file_names import CONFIG, INDEX, SINGLE, weight_files, weight_map
from ..weights.verify.safetensors_header import read_tensors
from . import shard_files
from .origin import origin
from .tensors import Stored

PIECE = 8_000_000  # bytes that are copied at once
STORED_AS = {"fp32": "F32", "bf16": "BF16", "fp16": "F16"}


def save(runtime: Runtime, variant: Variant, out: Path, most: int, on_progress: OnProgress) -> None:
    """Write `out`, which must not exist, in files of at most `most` bytes.

    Weights that are stored as the variant has them are copied, tensor by tensor, and taken up where a call was cut off.
    Others are loaded first. Raises OutputExists, CannotSave, BadMerge, DoesNotFit, DiskFull, and what loading raises.
    """
    if out.exists():
        raise OutputExists(folder=out.name)
    if variant.adapters:
        merge(runtime, variant, out, on_progress, most)
        return
    card = runtime.card(variant)
    wanted, mode = runtime.resolve(variant, card)
    if mode.form == "gguf" and variant.quantization == AUTO:
        wanted, mode = variant.resolved(PLAIN[0]), MODES[PLAIN[0]]
    if mode.form != "safetensors":
        raise CannotSave(variant=str(variant), reason="its weights are not held by transformers")
    if mode.name == "dynamic-int8":
        raise CannotSave(variant=str(variant), reason="torch quantizes it in memory, in a form that no file has")
    snapshot = runtime.fetch(wanted, on_progress)
    made = origin(runtime, wanted, mode.name)
    source = Path(snapshot.path)
    names = weight_files({path.name for path in source.iterdir()}, source)
    if _is_stored(source, names, mode.name):
        notes = {"source": state_of([source / name for name in names]), "most": most}
        with writing(str(variant), out.parent), unfinished(out, notes) as begun:
            copy(source, names, begun, most, on_progress)
            copy_settings(source, begun)
            write_text(begun / FILE, made.text())
            check_written(begun, out.name)
        return
    planned = runtime.planner.plan(card, mode)
    runtime.planner.require(planned, runtime.catalog.values(), card, ())
    with writing(str(variant), out.parent):
        write_merged(snapshot, mode.name, (), out, runtime.settings, on_progress, most, {FILE: made.text()})


def copy(source: Path, names: list[str], begun: Path, most: int, on_progress: OnProgress) -> None:
    """Write the tensors of a folder's files into files of at most `most` bytes, those that are not there yet."""
    held = {(file, name): one for file in names for name, one in read_tensors(source / file).items()}
    # Of a tensor that two files hold, loaders take the one that the index names.
    named = weight_map(source / INDEX) if names != [SINGLE] else {}
    tensors = [
        Stored(name, one.shape, one.dtype, one.end - one.begin, file)
        for (file, name), one in held.items()
        if named.get(name, file) == file
    ]
    files = shard_files.split(tensors, most)
    total = sum(one.bytes for one in tensors)
    written = {file for file, inside in files.items() if shard_files.is_written(begun / file, inside)}
    done = sum(one.bytes for file in written for one in files[file])
    require_space(total - done, source.name, begun)

    def data(one: Stored) -> Iterable[Any]:
        with (source / one.file).open("rb") as file:
            file.seek(held[one.file, one.name].begin)
            left = one.bytes
            while left:
                if not (piece := file.read(min(PIECE, left))):
                    raise CorruptWeights(file=one.file, reason="it is cut short")
                yield piece
                left -= len(piece)

    def tick(file: str, length: int) -> None:
        nonlocal done
        done += length
        on_progress(Progress("convert", done, total, "bytes", file))

    for file, inside in files.items():
        if file not in written:
            shard_files.write(begun / file, inside, data, partial(tick, file))
    shard_files.write_index(begun, files)


def _is_stored(source: Path, names: list[str], mode: str) -> bool:
    """Whether the files hold weights as a mode has them in memory."""
    checkpoint = read_checkpoint(read_object(source / CONFIG, LARGEST_CONFIG), source.name)
    if checkpoint:
        return checkpoint.mode == mode
    return {one.dtype for name in names for one in read_tensors(source / name).values()} == {STORED_AS.get(mode)}
