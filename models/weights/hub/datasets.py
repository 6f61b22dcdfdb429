"""Data sets on the Hub: one file, in the ordinary Hub cache, or the first rows as a stream."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from ...domain.data_sets import DataSet
from ...domain.errors import BadTrainingData, HubUnreachable
from ...domain.messages import Progress
from ...domain.settings import Settings
from ...domain.training_data import is_usable
from ...system.durable import put
from .. import fetch_errors
from . import access


def data_file(repo: str, file: str, settings: Settings) -> Path:
    """The file, downloaded if need be; raises HubUnreachable, NotOnHub, DownloadFailed, DiskFull."""
    with fetch_errors.translated(repo, settings.cache):
        from huggingface_hub import hf_hub_download, try_to_load_from_cache

        if isinstance(found := try_to_load_from_cache(repo, file, repo_type="dataset"), str):
            return Path(found)
        if not access.hub_reachable(settings):
            raise HubUnreachable(model=repo)
        return Path(hf_hub_download(repo, file, repo_type="dataset", token=False))


def first_rows(chosen: DataSet, most: int, settings: Settings, on_progress: Callable[[Progress], None]) -> Path:
    """A file in the cache with the first `most` rows, a line of JSON each; read once, as a stream, by `datasets`.

    Raises BadTrainingData where that package is not here or the Hub cannot be reached, DownloadFailed, DiskFull.
    """
    name = chosen.hub_id.replace("/", "--")
    file = settings.cache / "rows" / name / f"{name}-{most}.jsonl"
    if file.is_file():
        return file
    try:  # no requirement: it takes 200 MB, and most have files of their own
        load = importlib.import_module("datasets").load_dataset
    except ImportError:
        reason = "reading rows from the Hub takes the package datasets, which is not here"
        raise BadTrainingData(file=chosen.name, reason=reason) from None
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")  # two may read it at once
    with fetch_errors.translated(chosen.hub_id, settings.cache):
        if not access.hub_reachable(settings):
            raise BadTrainingData(file=chosen.name, reason="the Hub cannot be reached")
        rows = load(chosen.hub_id, split=chosen.split, streaming=True)
        with part.open("w", encoding="utf-8") as out:
            # Of those that people made some have no answer.
            records = ({name: value for name, value in row.items() if name not in chosen.leaves} for row in rows)
            for number, kept in enumerate(islice(filter(is_usable, records), most), 1):
                out.write(json.dumps(kept, ensure_ascii=False, default=str) + "\n")
                on_progress(Progress("download", number, most, "", chosen.title))
        put(part, file)
    return file
