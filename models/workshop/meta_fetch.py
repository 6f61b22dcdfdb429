"""Meta's own download: small files first, then weights in parts at once; a verified file gets its name."""

from __future__ import annotations

import errno
import hashlib
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from ..domain.errors import (
    DownloadFailed,
    MetaFileChanged,
    MetaFileDamaged,
    MetaFileTruncated,
    PaddockError,
)
from ..domain.messages import Progress
from ..system.durable import put
from ..weights.disk import FULL, writing
from ..weights.fetch_errors import require_space
from ..weights.own_folder import REASONS
from . import meta_parts
from .meta_link import BROKEN, Link, NotSent
from .meta_models import CHECKLIST, TOKENIZER_CHECKLIST, MetaModel
from .meta_parts import Download

LARGEST_SMALL = 50_000_000  # bytes
LOCK = ".paddock-fetch.lock"  # a second call waits until the first has ended
PIECE = 1_000_000  # bytes that are read at once
TRIES = 5  # of a part without a byte arriving
PAUSE_S = 1.0  # before the second try, twice as long before the third, and so on
TICK_S = 0.2
_LINE = re.compile(r"([0-9a-fA-F]{32})\s+\*?(?:\./)?(\S+)")
OnProgress = Callable[[Progress], None]


class Stopped(Exception):
    """Somebody else has failed, or has had enough."""


def fetch_meta(model: MetaModel, link: Link, folder: Path, parallel: int, on_progress: OnProgress) -> None:
    """Have all files of a model in a folder; the same call goes on where another one was cut off.

    `parallel` requests are under way at once. Raises MetaLinkError's kinds, MetaFileError's kinds, DiskFull,
    DownloadFailed.
    """
    from filelock import FileLock

    link.check(model)
    with writing(model.key, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK):
            sums = _small_files(model, link, folder, on_progress)
            lacking = [one for one in model.large if not _is_here(folder / one[0], sums.get(one[0]), on_progress)]
            downloads = [_ask(model, link, folder, name, path) for name, path in lacking]
            require_space(sum(one.size - one.arrived for one in downloads), model.key, folder)
            _Work(model, link, downloads, sums, on_progress).run(parallel)


def checksums(text: str) -> dict[str, str]:
    """The MD5 of each file that a checklist names."""
    return {name: md5.lower() for md5, name in _LINE.findall(text)}


def _small_files(model: MetaModel, link: Link, folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Fetch what is small; returns the MD5 of every file that has one."""
    sums: dict[str, str] = {}
    for name, path in model.small:
        file = folder / name
        is_list = name in (CHECKLIST, TOKENIZER_CHECKLIST)
        if not is_list and _is_here(file, sums.get(name), lambda step: None):
            continue
        on_progress(Progress("download", detail=name))
        raw = _whole(model, link, name, path)
        if name in sums and hashlib.md5(raw, usedforsecurity=False).hexdigest() != sums[name]:
            raise MetaFileDamaged(file=name)
        _write(file, raw)
        if is_list:
            sums |= checksums(raw.decode("ascii", "replace"))
            if not sums:
                raise DownloadFailed(what=name, reason="it is not a list of checksums")
    return sums


def _whole(model: MetaModel, link: Link, name: str, path: str) -> bytes:
    for attempt in range(TRIES):
        try:
            with link.get(path) as answer:
                raw = bytes(answer.read(LARGEST_SMALL))
                if len(raw) == int(answer.headers.get("Content-Length") or len(raw)):
                    return raw
        except NotSent as error:
            if error.status < 500:
                raise _not_sent(error, model, link, name, path) from None
        except BROKEN:
            pass
        time.sleep(PAUSE_S * attempt)
    raise DownloadFailed(what=name, reason="the connection broke")


def _ask(model: MetaModel, link: Link, folder: Path, name: str, path: str) -> Download:
    """A large file's size and version. The first byte is asked for, since Meta's server refuses HEAD."""
    for attempt in range(TRIES):
        try:
            with link.get(path, 0, 0) as answer:
                if (size := _size_of(answer)) is None:
                    raise DownloadFailed(what=name, reason="the server does not send parts of files")
                return Download.begin(name, path, folder, size, _version_of(answer))
        except NotSent as error:
            if error.status < 500:
                raise _not_sent(error, model, link, name, path) from None
        except BROKEN:
            pass
        time.sleep(PAUSE_S * attempt)
    raise DownloadFailed(what=name, reason="the connection broke")


class _Work:
    """Parts of several files, fetched by several threads; the first failure ends all."""

    def __init__(
        self, model: MetaModel, link: Link, downloads: list[Download], sums: dict[str, str], on_progress: OnProgress
    ) -> None:
        self.model, self.link, self.downloads, self.sums = model, link, downloads, sums
        self.on_progress, self.stop = on_progress, threading.Event()
        self.verifying = ""

    def run(self, parallel: int) -> None:
        """Fetch and verify all; interrupted, it notes how far it is."""
        self._show()
        pool = ThreadPoolExecutor(parallel, "meta-part")
        try:
            futures: set[Future[None]] = set()
            for one in self.downloads:
                with one.part.open("ab"):
                    pass
                if one.is_complete_now():  # killed before it was verified
                    futures.add(pool.submit(self._finish, one))
                futures |= {pool.submit(self._part, one, at, length) for at, length in one.left()}
            while futures:
                done, futures = wait(futures, TICK_S, FIRST_EXCEPTION)
                for future in sorted(done, key=lambda future: isinstance(future.exception(), Stopped)):
                    future.result()
                self._show()
        finally:
            self.stop.set()
            pool.shutdown(cancel_futures=True)

    def _show(self) -> None:
        arrived, total = sum(one.arrived for one in self.downloads), sum(one.size for one in self.downloads)
        if total:
            self.on_progress(Progress("download", arrived, total, "bytes", self.model.key))
        if self.verifying and arrived == total:
            self.on_progress(Progress("verify", detail=self.verifying))

    def _part(self, one: Download, at: int, length: int) -> None:
        """Fetch one part to its end, however often the connection breaks on the way."""
        try:
            failed = 0
            while (count := one.done.get(at, 0)) < length:
                if self.stop.is_set():
                    raise Stopped
                if failed >= TRIES:
                    raise MetaFileTruncated(file=one.name, arrived=one.arrived, size=one.size)
                self.stop.wait(PAUSE_S * (2**failed - 1))
                try:
                    self._receive(one, at, length)
                except NotSent as error:
                    if error.status < 500:
                        raise _not_sent(error, self.model, self.link, one.name, one.path) from None
                except BROKEN as error:
                    if _is_of_the_disk(error):
                        raise
                failed = 0 if one.done.get(at, 0) > count else failed + 1
        except BaseException:
            self.stop.set()
            raise
        if one.is_complete_now():
            self._finish(one)

    def _receive(self, one: Download, at: int, length: int) -> None:
        count = one.done.get(at, 0)
        with self.link.get(one.path, at + count, at + length - 1) as answer, one.part.open("r+b") as file:
            if (_size_of(answer), _version_of(answer)) != (one.size, one.version):
                one.discard()
                raise MetaFileChanged(file=one.name)
            file.seek(at + count)
            kept = count
            while count < length and (piece := answer.read(min(PIECE, length - count))):
                file.write(piece)
                file.flush()
                count += len(piece)
                keep = count - kept >= meta_parts.KEPT or count == length
                kept = count if keep else kept
                one.came(at, count, keep)
                if self.stop.is_set():
                    one.came(at, count, True)
                    raise Stopped

    def _finish(self, one: Download) -> None:
        """Verify a file whose bytes are all here, and give it its name."""
        self.verifying = one.name
        if (wanted := self.sums.get(one.name)) and _md5(one.part, self.stop) != wanted:
            one.discard()
            raise MetaFileDamaged(file=one.name)
        put(one.part, one.final)
        one.forget_notes()


def _is_here(file: Path, wanted: str | None, on_progress: OnProgress) -> bool:
    """Whether a file is here as its checksum says; one without a checksum is, if it is here at all."""
    if not file.is_file():
        return False
    on_progress(Progress("verify", detail=file.name))
    here = wanted is None or _md5(file, threading.Event()) == wanted
    if here:
        meta_parts.forget_notes(file)  # of a call that was killed after it had named the file
    return here


def _md5(file: Path, stop: threading.Event) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as source:
        while piece := source.read(4 * PIECE):
            digest.update(piece)
            if stop.is_set():
                raise Stopped
    return digest.hexdigest()


def _write(file: Path, raw: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(raw)
    put(part, file)


def _size_of(answer: Any) -> int | None:
    """Bytes of the whole file, by an answer that holds a part of it."""
    found = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range") or "")
    return int(found[1]) if answer.status == 206 and found else None


def _version_of(answer: Any) -> str:
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


def _not_sent(error: NotSent, model: MetaModel, link: Link, name: str, path: str) -> PaddockError:
    if error.status == 403:
        return link.refusal(model, path)
    if error.status == 416:
        return MetaFileChanged(file=name)
    reason = "it is not there" if error.status == 404 else f"the server answered {error.status}"
    return DownloadFailed(what=name, reason=reason)


def _is_of_the_disk(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (*FULL, *REASONS, errno.EIO)
