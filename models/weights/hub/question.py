"""One question to the Hub, in a thread that the visitor can leave at any time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ...domain.errors import DownloadCancelled, DownloadFailed
from ...domain.messages import Progress
from .. import fetch_errors
from ..sharing import Visit
from ..verify.checksums import sweep
from ..verify.safetensors_header import SHORT_HEADER, Tensor, header_length, parse
from . import access
from .revisions import cache_folder, repo_folder

Answer = TypeVar("Answer")
STALL_S = 45.0  # without a byte of a download
TICK_S = 0.1
LEAVE_S = 0.5  # in which a thread can tidy up; one that waits for a silent server ends on its own later
LONGEST_WAIT_S = 60.0  # of a thread that nobody waits for any more
PIECE = 256 * 1024  # bytes between two looks at the progress
FIRST_BYTES = 100_000  # of a file of weights: most headers are shorter


@dataclass(frozen=True)
class Repository:
    """What the Hub says of a repository at a commit; `closed` says that not everybody may read it."""

    commit: str
    sizes: dict[str, int]  # bytes of each file
    folder: Path  # in the Hub cache
    licence: str
    gated: bool
    closed: bool
    parameters: int | None  # of its safetensors files, as the Hub has counted them


class Question:
    """What the thread may do: everything with one token or none, and nothing once the visitor has left."""

    def __init__(self, repo: str, visit: Visit) -> None:
        self.repo, self.timeout_s, self._visit = repo, visit.settings.hub_timeout_s, visit
        # False: none from a login either.
        self.token: str | bool = access.token_for(repo, visit.settings, visit.token) or False
        self.shown: Progress | None = None
        self.moved, self.left = time.monotonic(), False

    def came(self, progress: Progress | None = None) -> None:
        """Something arrived; raises DownloadCancelled when nobody waits for it."""
        if self.left:
            raise DownloadCancelled(model=self.repo)
        self.moved, self.shown = time.monotonic(), progress or self.shown

    def api(self) -> Any:
        """The Hub's other questions."""
        from huggingface_hub import HfApi, constants

        return HfApi(endpoint=constants.ENDPOINT, token=self.token)

    def look_up(self, revision: str | None) -> Repository:
        """The commit, the files and the terms of a repository."""
        info = self.api().model_info(self.repo, revision=revision, files_metadata=True, timeout=self.timeout_s)
        self.came()
        sizes = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}
        licence = getattr(info.card_data, "license", None) if info.card_data else None
        return Repository(
            info.sha,
            sizes,
            repo_folder(self.repo) / "snapshots" / info.sha,
            licence if isinstance(licence, str) else "",
            bool(info.gated),
            bool(info.gated or info.private),
            info.safetensors.total if info.safetensors else None,
        )

    def download(self, found: Repository, names: list[str], shown: bool = False) -> None:
        """Have files in the Hub cache; those that are `shown` must fit on the disk, and their progress is reported."""
        from huggingface_hub import constants, hf_hub_download

        if found.closed:
            access.restrict(self._visit.settings, self.repo)
            self.api().auth_check(self.repo)  # files that are here already would be taken without a question
        total = sum(found.sizes[name] for name in names) if shown else 0
        if shown:
            cache, lacking = cache_folder(), [name for name in names if not (found.folder / name).exists()]
            cache.mkdir(parents=True, exist_ok=True)
            needed = sum(found.sizes[name] for name in lacking)
            fetch_errors.require_space(needed, self.repo, cache)
            sweep(repo_folder(self.repo))
        before = 0
        for name in names:
            show = partial(self._show, name, found.sizes[name], before, total)
            hf_hub_download(
                self.repo,
                name,
                revision=found.commit,
                cache_dir=cache_folder(),
                endpoint=constants.ENDPOINT,
                token=self.token,
                etag_timeout=self.timeout_s,
                tqdm_class=_bar_class(show),
            )
            before += found.sizes[name]
            show(found.sizes[name])

    def header(self, found: Repository, name: str) -> dict[str, Tensor]:
        """The tensors of a safetensors file, from its first bytes; raises CorruptWeights, or HTTP's errors."""
        start = self._read(found.commit, name, 0, FIRST_BYTES)
        length = header_length(name, start[:8], found.sizes[name], SHORT_HEADER)
        raw = start[8 : 8 + length] if 8 + length <= len(start) else self._read(found.commit, name, 8, 7 + length)
        return parse(name, raw, found.sizes[name])

    def _read(self, commit: str, name: str, first: int, last: int) -> bytes:
        from huggingface_hub import constants, get_session, hf_hub_url

        url = hf_hub_url(self.repo, name, revision=commit, endpoint=constants.ENDPOINT)
        headers = {"range": f"bytes={first}-{last}"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        data = bytearray()
        with get_session().stream("GET", url, headers=headers, timeout=self.timeout_s) as response:
            response.raise_for_status()
            start = 0 if response.status_code == 206 else first  # a server that knows no ranges sends the whole file
            wanted = start + last + 1 - first
            for piece in response.iter_bytes():
                self.came()
                data += piece
                if len(data) >= wanted:
                    break
        return bytes(data[start:wanted])

    def _show(self, name: str, size: int, before: int, total: int, now: int) -> None:
        self.came(Progress("download", before + min(now, size), total, "bytes", name) if total else None)


def ask(work: Callable[[Question], Answer], repo: str, visit: Visit, downloading: bool = False) -> Answer:
    """The answer that `work` gets from the Hub; only the visitor's token is used, or the operator's own where listed.

    Raises DownloadCancelled as soon as he has left, DownloadFailed when nothing comes for long, any PaddockError else.
    """
    question, answer = Question(repo, visit), Future[Answer]()
    stall_s = STALL_S if downloading else 2 * visit.settings.hub_timeout_s + 10

    def run() -> None:
        _asking.set(question)
        try:
            _prepare_library()
            answer.set_result(work(question))
        except BaseException as error:
            answer.set_exception(error)

    thread = threading.Thread(target=run, name="hub-question", daemon=True)
    thread.start()
    try:
        while not answer.done():
            thread.join(TICK_S)
            visit.check()
            if question.shown:
                visit.report(question.shown)
            if time.monotonic() - question.moved > stall_s:
                raise DownloadFailed(what=repo, reason=f"nothing arrived for {stall_s:.0f} seconds")
    finally:
        question.left = True
        thread.join(LEAVE_S)
    if error := answer.exception():
        folder, signed_in = cache_folder(), bool(question.token)
        raise fetch_errors.translate(error, repo, folder, downloading, "HF_HUB_CACHE", signed_in) from error
    if question.shown:
        visit.report(question.shown)  # the last, which came while nobody looked
    return answer.result()


_asking: ContextVar[Question | None] = ContextVar("asking", default=None)


def _prepare_library() -> None:
    from huggingface_hub import constants, get_session

    constants.DOWNLOAD_CHUNK_SIZE = PIECE
    # What hf_xet has begun goes on to its end: it drops what a progress bar raises. Plain HTTP can be left.
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_DISABLE_TELEMETRY = True
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings hold signed addresses
    hooks = get_session().event_hooks["request"]
    if _before_request not in hooks:
        hooks.append(_before_request)


def _before_request(request: Any) -> None:
    """Nothing is asked for who has left, which ends the library's own tries, and no answer is waited for for ever."""
    if question := _asking.get():
        if question.left:
            raise DownloadCancelled(model=question.repo)
        limits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {kind: limit or LONGEST_WAIT_S for kind, limit in limits.items()}


def _bar_class(show: Callable[[int], None]) -> type:
    """The part of tqdm that the library calls; what `show` raises ends the download, and its part file goes."""

    class Bar:
        def __init__(self, *_: Any, initial: int = 0, **__: Any) -> None:
            self.n = initial

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            show(self.n)

    return Bar
