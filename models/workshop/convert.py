"""Meta's folder of a Llama -> a Hugging Face folder of safetensors, a few rows at a time, resumed where it stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..domain.errors import BadCheckpoint, OutputExists
from ..domain.messages import Progress
from ..system.durable import unfinished, write_text
from ..system.files import state_of
from ..weights.disk import writing
from ..weights.fetch_errors import require_space
from ..weights.verify.checks import check_written
from . import shard_files
from .engine.meta_weights import is_tied, pieces
from .engine.pickles import Shards, read_pickle
from .listing import META
from .meta_layout import CONSTANT, HEAD, Params, config, context_of, merged, place_of, read_params
from .meta_tokenizer import MODEL, TokenizerFiles, read_tokenizer, write_tokenizer
from .tensors import Stored

VERSION = 1  # of the conversion: what another one has begun is not taken up
TERMS = ("LICENSE", "LICENSE.txt", "USE_POLICY.md", "USE_POLICY", "USE_POLICY.txt")
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Source:
    """A folder of Meta's: its files in order, and what they hold together, under Meta's names."""

    folder: Path
    files: list[Path]
    params: Params
    parts: dict[str, Stored]  # of the first file
    wholes: dict[str, Stored]


def convert(
    folder: Path, out: Path, most: int, on_progress: OnProgress, context: int | None = None, chat_template: str = ""
) -> None:
    """Write `out`, which must not exist, in files of at most `most` bytes; the same call takes up what was cut off.

    Raises OutputExists, BadCheckpoint, UnsafePickle, CorruptWeights, DiskFull.
    """
    if out.exists():
        raise OutputExists(folder=out.name)
    source = read_source(folder)
    tokenizer = read_tokenizer(_beside(folder, MODEL), source.params.scaled_rope, chat_template)
    notes = {"source": state_of(source.files), "most": most, "version": VERSION}
    with writing(folder.name, out.parent), unfinished(out, notes) as begun:
        tied = write_weights(source, begun, most, on_progress)
        _write_settings(source, begun, tokenizer, tied, context)
        check_written(begun, folder.name)


def read_source(folder: Path) -> Source:
    """What a folder of Meta's holds, with nothing of its weights read; raises as `convert`."""
    params = read_params(folder)
    files = sorted(path for path in folder.iterdir() if META.fullmatch(path.name))
    if not files:
        raise BadCheckpoint(folder=folder.name, reason="it has no consolidated.00.pth")
    for number, file in enumerate(files):
        if file.name != f"consolidated.{number:02}.pth":
            raise BadCheckpoint(folder=folder.name, reason=f"it lacks consolidated.{number:02}.pth")
    shards = [read_pickle(file) for file in files]
    wholes = {one.name: one for one in merged(shards, params, folder.name) if one.name != CONSTANT}
    return Source(folder, files, params, {one.name: one for one in shards[0]}, wholes)


def write_weights(source: Source, begun: Path, most: int, on_progress: OnProgress) -> bool:
    """Write the files of weights that are not there yet; returns whether embeddings and head are one.

    Memory: a few rows at a time, however large the tensors are.
    """
    shards, count = Shards(source.files), len(source.files)
    tied = is_tied(shards, source.parts, count, source.wholes, source.params)
    named = {_name(one): one for one in source.wholes.values() if not (tied and one.name == HEAD)}
    files = shard_files.split([replace(one, name=name) for name, one in named.items()], most)
    total = sum(one.bytes for held in files.values() for one in held)
    written = {file for file, held in files.items() if shard_files.is_written(begun / file, held)}
    done = sum(one.bytes for file in written for one in files[file])
    require_space(total - done, source.folder.name, begun)

    def data(one: Stored) -> Iterable[Any]:
        theirs = named[one.name]
        return pieces(shards, source.parts[theirs.name], count, theirs, source.params)

    def tick(file: str, length: int) -> None:
        nonlocal done
        done += length
        on_progress(Progress("convert", done, total, "bytes", file))

    for file, held in files.items():
        if file not in written:
            shard_files.write(begun / file, held, data, partial(tick, file))
    shard_files.write_index(begun, files)
    return tied


def _name(one: Stored) -> str:
    place = place_of(one.name)
    assert place is not None, one.name
    return place[0]


def _beside(folder: Path, name: str) -> Path:
    """A file in the folder, or above it, where Meta's own script puts it; raises BadCheckpoint."""
    for place in (folder, folder.parent):
        if (place / name).is_file():
            return place / name
    raise BadCheckpoint(folder=folder.name, reason=f"it lacks {name}")


def _write_settings(source: Source, begun: Path, tokenizer: TokenizerFiles, tied: bool, context: int | None) -> None:
    params = source.params
    longest = context or context_of(params, tokenizer.is_llama_3)
    stated = config(params, list(source.wholes.values()), tied, longest, tokenizer.ids)
    if tokenizer.size > stated["vocab_size"]:
        reason = f"its {MODEL} has {tokenizer.size:,} tokens, and its weights have {stated['vocab_size']:,}"
        raise BadCheckpoint(folder=source.folder.name, reason=reason)
    write_text(begun / "config.json", json.dumps(stated, indent=2) + "\n")
    # What Meta's own examples sample with, as in transformers' converter.
    sampling = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}
    write_text(begun / "generation_config.json", json.dumps(tokenizer.ids | sampling, indent=2) + "\n")
    write_tokenizer(tokenizer, begun)
    shutil.copyfile(_beside(source.folder, MODEL), begun / MODEL)
    for name in TERMS:
        for place in (source.folder.parent, source.folder):
            if (place / name).is_file():
                shutil.copyfile(place / name, begun / name)
