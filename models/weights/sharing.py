"""One download at a time for a model, over threads and processes; who waits sees the bytes of who downloads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.errors import DownloadCancelled
from ..domain.messages import Progress
from ..domain.settings import Settings
from ..system.files import read_json, write_json

if TYPE_CHECKING:
    from filelock import BaseFileLock

PAUSE_S = 0.2  # between two reports
STALE_S = 10.0  # a board that nobody wrote for so long is of a process that died


class Visit:
    """Who waits for the files of a model or an adapter: by which settings, with which token of their own.

    Passes progress on, at most five times a second, and raises DownloadCancelled once they have left.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        token: str | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name, self.settings, self.token = name, settings, token
        self.on_progress, self.cancelled = on_progress, cancelled
        self.board: Path | None = None
        self._last: Progress | None = None
        self._time = 0.0

    def check(self) -> None:
        """Raise DownloadCancelled if it is cancelled."""
        if self.cancelled():
            raise DownloadCancelled(model=self.name)

    def report(self, progress: Progress) -> None:
        """Show progress; the first and the last of a stage always, the others not too often."""
        self.check()
        last = self._last
        new = last is None or (last.stage, last.detail) != (progress.stage, progress.detail)
        whole = progress.total > 0 and progress.done >= progress.total
        if not (progress != last and (new or whole)) and time.monotonic() - self._time < PAUSE_S:
            return
        self._last, self._time = progress, time.monotonic()
        self.on_progress(progress)
        if self.board is not None:
            write_json(self.board, asdict(progress))

    def hashing(self, file: Path) -> Callable[[int], None]:
        """A function that shows how many of a file's bytes have been verified."""
        size = file.stat().st_size if file.is_file() else 0
        return lambda done: self.report(Progress("verify", done, size, "bytes", file.name))


def file_lock(settings: Settings, name: str) -> BaseFileLock:
    """A lock between threads and processes; two of the same name exclude each other."""
    from filelock import FileLock

    folder = settings.cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{safe_name(name)}.lock", thread_local=False)


@contextmanager
def shared_table(settings: Settings, name: str) -> Iterator[dict[str, Any]]:
    """A small table that all processes share, `name`.json; what the caller changes in it is kept."""
    path = settings.cache / f"{name}.json"
    with file_lock(settings, name):
        table = read_json(path)
        before = dict(table)
        yield table
        if table != before:
            write_json(path, table)


def safe_name(name: str) -> str:
    """A model's name as one file name."""
    return name.replace("/", "--")


@contextmanager
def turn(visit: Visit) -> Iterator[None]:
    """Wait until nobody else fetches this model, then hold the others off."""
    from filelock import Timeout

    lock = file_lock(visit.settings, visit.name)
    board = visit.settings.cache / "locks" / f"{safe_name(visit.name)}.progress.json"
    while True:
        try:
            lock.acquire(timeout=PAUSE_S, poll_interval=0.05)
            break
        except Timeout:
            visit.report(_read_board(board) or Progress("waiting", detail=visit.name))
    visit.board = board
    try:
        yield
    finally:
        visit.board = None
        board.unlink(missing_ok=True)
        lock.release()


def _read_board(board: Path) -> Progress | None:
    try:
        if time.time() - board.stat().st_mtime > STALE_S:
            return None
        return Progress(**read_json(board))
    except (OSError, TypeError):
        return None
