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
import time
from pathlib import Path
from typing import Any

from ..spec.errors import CorruptWeights, NotOnHub
from . import checkpoints, checks, counting, faults
from .architectures import read_shape
from .discard import discard
from .file_names import CHAT_TEMPLATES, CONFIG, INDEX, wanted_names, weight_names

PIECE = 256 * 1024  # bytes between two looks at the progress
ABANDONED_S = 3600.0  # a part file that nobody wrote to for so long
PAUSE_S = 0.1
LARGEST_INDEX = 5_000_000  # bytes that are fetched only to count parameters


def say(**message: Any) -> None:
    """One line to the process that asked."""
    print(json.dumps(message), flush=True)


class Meter:
    """Bytes of one request over all its files."""

    def __init__(self, total: int) -> None:
        self.total, self.whole, self.now, self.file = total, 0, 0, ""
        self._said = 0.0

    def show(self, now: int, size: int) -> None:
        """`now` of `size` bytes of the current file have come."""
        self.now = min(now, size)
        if time.monotonic() - self._said >= PAUSE_S:
            self._said = time.monotonic()
            say(progress=[self.whole + self.now, self.total, self.file])

    def finish(self, size: int) -> None:
        """The current file is whole."""
        self.whole += size
        say(progress=[self.whole, self.total, self.file])


def bar_class(meter: Meter, size: int) -> type:
    """A progress bar as huggingface_hub wants it (the part of tqdm that it calls), which feeds the meter."""

    class Bar:
        def __init__(self, *_: Any, total: int | None = None, initial: int = 0, **__: Any) -> None:
            self.total, self.n, self.transferred = total, initial, initial

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            meter.show(max(self.n, self.transferred), size)

        def update_transfer(self, count: float | None = 1) -> None:
            self.transferred += int(count or 0)
            meter.show(max(self.n, self.transferred), size)

        def _nothing(self, *_: Any, **__: Any) -> None:
            return None

        close = refresh = set_description = set_description_str = _nothing
        set_postfix_str = set_transfer_postfix_str = _nothing

    return Bar


def fetch(request: dict[str, Any]) -> dict[str, Any]:
    """Download one file or a whole safetensors model into the Hub cache; settings are checked before weights come."""
    info, sizes = _look_up(request)
    repo, only, cache = request["repo"], request["file"], Path(request["cache"])
    if only and only not in sizes:
        raise NotOnHub(what=f"file {only} in {repo}")
    names = [only] if only else wanted_names(sizes, repo)
    folder = _storage(cache, repo) / "snapshots" / info.sha
    lacking = sum(sizes[name] for name in names if not (folder / name).exists())
    cache.mkdir(parents=True, exist_ok=True)
    faults.require_space(lacking, repo, cache, shutil.disk_usage(cache).free)
    _sweep(_storage(cache, repo) / "blobs")
    meter = Meter(sum(sizes[name] for name in names))
    for name in names:
        meter.file = name
        _download(request, info.sha, name, bar_class(meter, sizes[name]))
        meter.finish(sizes[name])
        if name == CONFIG and not only:
            checkpoints.check_mode(_read_config(folder, repo, cache), repo, request["checkpoint"])
    return _facts(info)


def _read_config(folder: Path, repo: str, cache: Path) -> dict[str, Any]:
    try:
        return checks.read_config(folder, repo)
    except CorruptWeights:
        discard(folder / CONFIG, cache)
        raise


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
        if INDEX in weight_names(sizes):
            if sizes[INDEX] > LARGEST_INDEX:
                return None
            _download(request, commit, INDEX, bar_class(Meter(0), sizes[INDEX]))
        return counting.count_on_hub(request, commit, folder, sizes, read_shape(config, request["repo"]))
    except Exception:  # whatever it is: the shape counts them too, and the download will say what is wrong
        return None


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


def _sweep(blobs: Path) -> None:
    # huggingface_hub names each part file anew and never resumes one, so those of a killed process stay for ever.
    for part in blobs.glob("*.incomplete"):
        try:
            if time.time() - part.stat().st_mtime > ABANDONED_S:
                part.unlink()
        except OSError:
            continue


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


def main() -> int:
    """Answer the one request; an end of input ends the process, and part files with it."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, args=(threading.get_ident(),), daemon=True).start()
    try:
        from huggingface_hub import constants

        constants.DOWNLOAD_CHUNK_SIZE = PIECE
        say(result={"fetch": fetch, "card": card, "access": access}[request["operation"]](request))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        downloading = request["operation"] == "fetch"
        say(error=faults.translate(error, request["repo"], Path(request["cache"]), downloading).to_dict())
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for input must not hold the process up
