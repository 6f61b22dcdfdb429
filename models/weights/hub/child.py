"""The process that talks to the Hub: one request as JSON on its input, progress and one result as JSON lines out.

A process of its own because a download inside a library can only be ended for certain together with its process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from ...domain.errors import CorruptWeights, NotOnHub, PaddockError
from ...domain.gguf_parts import part_names
from .. import faults
from ..adapters import checks as adapter_checks
from ..adapters.bases import Base
from ..verify import checkpoints, checks
from ..verify.architectures import read_shape
from ..verify.discard import refused, sweep
from ..verify.file_names import CHAT_TEMPLATES, CONFIG, INDEX, wanted_names, weights_entry
from ..verify.shards import LARGEST_INDEX, weight_files
from . import counting
from .meter import Meter, bar_class, say

PIECE = 256 * 1024  # bytes between two looks at the progress
COUNTED_INDEX = 5_000_000  # bytes that are fetched only to count parameters


def fetch(request: dict[str, Any]) -> dict[str, Any]:
    """Download one file or a whole safetensors model into the Hub cache; settings are checked before weights come."""
    info, sizes = _look_up(request)
    repo, only, cache = request["repo"], request["file"], Path(request["cache"])
    folder = _storage(cache, repo) / "snapshots" / info.sha
    names = part_names(only) if only else _names(request, info.sha, folder, sizes)
    if lacks := [name for name in names if name not in sizes]:
        raise NotOnHub(what=f"file {lacks[0]} in {repo}")
    lacking = sum(sizes[name] for name in names if not (folder / name).exists())
    cache.mkdir(parents=True, exist_ok=True)
    faults.require_space(lacking, repo, cache, shutil.disk_usage(cache).free)
    sweep(_storage(cache, repo))
    meter = Meter(sum(sizes[name] for name in names))
    for name in names:
        meter.file = name
        _download(request, info.sha, name, bar_class(meter, sizes[name]))
        meter.finish(sizes[name])
        if name == CONFIG and not only:
            checkpoints.check_mode(_read_config(folder, repo, cache), repo, request["checkpoint"])
    return _facts(info)


def _names(request: dict[str, Any], commit: str, folder: Path, sizes: dict[str, int]) -> list[str]:
    """The files of a whole model; the index comes first, because only it knows what the others are called."""
    names = wanted_names(sizes, request["repo"])
    if names[-1] != INDEX:
        return names
    if sizes[INDEX] > LARGEST_INDEX:
        raise CorruptWeights(file=INDEX, reason=f"it has {sizes[INDEX]:,} bytes, more than {LARGEST_INDEX:,}")
    _download(request, commit, INDEX, bar_class(Meter(0), sizes[INDEX]))
    try:
        files = weight_files(sizes, folder)
    except CorruptWeights as fault:
        raise refused(fault, folder / INDEX, Path(request["cache"])) from fault
    return [*names, *files]


def _read_config(folder: Path, repo: str, cache: Path) -> dict[str, Any]:
    try:
        return checks.read_config(folder, repo)
    except CorruptWeights as fault:
        raise refused(fault, folder / CONFIG, cache) from fault


def card(request: dict[str, Any]) -> dict[str, Any]:
    """Download the few small files from which a model card is made, and count the parameters of plain weights."""
    info, sizes = _look_up(request)
    wanted_names(sizes, request["repo"])
    for name in (CONFIG, "tokenizer_config.json", *CHAT_TEMPLATES):
        if name in sizes:
            _download(request, info.sha, name, bar_class(Meter(0), sizes[name]))
    cache = Path(request["cache"])
    folder = _storage(cache, request["repo"]) / "snapshots" / info.sha
    config = _read_config(folder, request["repo"], cache)
    if checkpoints.read_checkpoint(config, request["repo"]):
        return _facts(info)
    say(counting=request["repo"])
    return _facts(info) | {"parameters": _count(request, info.sha, folder, sizes, config)}


def _count(
    request: dict[str, Any], commit: str, folder: Path, sizes: dict[str, int], config: dict[str, Any]
) -> int | None:
    try:
        if weights_entry(sizes) == INDEX:
            if sizes[INDEX] > COUNTED_INDEX:
                return None
            _download(request, commit, INDEX, bar_class(Meter(0), sizes[INDEX]))
        return counting.count_on_hub(request, commit, folder, sizes, read_shape(config, request["repo"]))
    except Exception:  # whatever it is: the shape counts them too, and the download will say what is wrong
        return None


def adapter(request: dict[str, Any]) -> dict[str, Any]:
    """Download the config of an adapter and read the header of its weights; the weights too if they are asked for."""
    info, sizes = _look_up(request)
    name, base, cache = request["adapter"], Base.from_dict(request["base"]), Path(request["cache"])
    config_name, weights = adapter_checks.CONFIG, adapter_checks.WEIGHTS
    folder = _storage(cache, request["repo"]) / "snapshots" / info.sha
    with adapter_checks.refusals(name):
        adapter_checks.check_names(sizes, name)
        adapter_checks.check_size(sizes[weights], name, request["largest"])
        if sizes[config_name] > checks.LARGEST_CONFIG:
            raise CorruptWeights(file=config_name, reason=f"it has {sizes[config_name]:,} bytes")
        _download(request, info.sha, config_name, bar_class(Meter(0), sizes[config_name]))
        try:
            config = adapter_checks.read_config(folder, name, base)
        except CorruptWeights as fault:
            raise refused(fault, folder / config_name, cache) from fault
        parameters = sizes[weights] // 2  # of fp16, where the header cannot be had in time
        try:
            tensors = counting.header_on_hub(request, info.sha, weights, sizes[weights], adapter_checks.LONGEST_HEADER)
            parameters = adapter_checks.check_tensors(tensors, config, name, base)
        except PaddockError:
            raise
        except Exception as error:  # the download will say what is wrong, if anything is
            say(header=type(error).__name__)
    if request["whole"]:
        cache.mkdir(parents=True, exist_ok=True)
        lacking = 0 if (folder / weights).exists() else sizes[weights]
        faults.require_space(lacking, request["repo"], cache, shutil.disk_usage(cache).free)
        sweep(_storage(cache, request["repo"]))
        meter = Meter(sizes[weights])
        meter.file = weights
        _download(request, info.sha, weights, bar_class(meter, sizes[weights]))
        meter.finish(sizes[weights])
    return _facts(info) | {"adapter_bytes": sizes[weights], "adapter_parameters": parameters}


def search(request: dict[str, Any]) -> dict[str, Any]:
    """The adapters that the Hub has registered for a model, most downloaded first."""
    from huggingface_hub import HfApi

    found = HfApi(endpoint=request["endpoint"], token=request["token"] or False).list_models(
        filter=f"base_model:adapter:{request['repo']}",
        sort="downloads",
        limit=request["limit"],
        expand=["downloads", "likes", "lastModified"],
    )
    return {
        "found": [
            {
                "hub_id": info.id,
                "downloads": info.downloads or 0,
                "likes": info.likes or 0,
                "updated": f"{info.last_modified:%Y-%m-%d}" if info.last_modified else "",
            }
            for info in found
        ]
    }


def access(request: dict[str, Any]) -> dict[str, Any]:
    """Fail unless the token, or nobody in particular, may read a repository."""
    from huggingface_hub import HfApi

    HfApi(endpoint=request["endpoint"], token=request["token"] or False).auth_check(request["repo"])
    return {}


def _look_up(request: dict[str, Any]) -> tuple[Any, dict[str, int]]:
    from huggingface_hub import HfApi

    info = HfApi(endpoint=request["endpoint"], token=request["token"] or False).model_info(
        request["repo"], revision=request["revision"], files_metadata=True, timeout=request["timeout_s"]
    )
    return info, {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}


def _download(request: dict[str, Any], commit: str, name: str, bar: type) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download(
        request["repo"],
        name,
        revision=commit,
        cache_dir=request["cache"],
        endpoint=request["endpoint"],
        token=request["token"] or False,
        etag_timeout=request["timeout_s"],
        tqdm_class=bar,
    )


def _facts(info: Any) -> dict[str, Any]:
    licence = getattr(info.card_data, "license", None) if info.card_data else None
    return {
        "commit": info.sha,
        "licence": licence if isinstance(licence, str) else "",
        "gated": bool(info.gated),
        "closed": bool(info.gated or info.private),
    }


def _storage(cache: Path, repo: str) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return cache / repo_folder_name(repo_id=repo, repo_type="model")


def _end_with_input(main: int) -> None:
    sys.stdin.read()
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)  # to the main thread, so that a blocking read there ends too
    else:
        os._exit(130)


def _stop(*_: object) -> None:
    # Once: a second signal must not break into the cleaning up that the first one started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


OPERATIONS = {"fetch": fetch, "card": card, "adapter": adapter, "search": search, "access": access}


def main() -> int:
    """Answer the one request; an end of input ends the process, and part files with it."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, args=(threading.get_ident(),), daemon=True).start()
    try:
        from huggingface_hub import constants

        constants.DOWNLOAD_CHUNK_SIZE = PIECE
        say(result=OPERATIONS[request["operation"]](request))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        downloading = request["operation"] == "fetch" or bool(request.get("whole"))
        fault = faults.translate(error, request["repo"], Path(request["cache"]), downloading, "HF_HUB_CACHE")
        say(error=fault.to_dict())
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for input must not hold the process up
