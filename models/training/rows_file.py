"""A file of rows on the disk: read, or copied so that it stays as it is."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..compute.background import reported
from ..domain.data_sets import ROWS, data_sets
from ..domain.errors import BadTrainingData
from ..domain.messages import Progress
from ..domain.training_files import FILE_MAX
from ..runtime import Runtime
from ..weights.hub.datasets import first_rows


def content_of(runtime: Runtime, data: Path, rows: int) -> Generator[Progress, None, tuple[Path, bytes]]:
    """A file and its bytes; a short name of data_sets.toml is one with the first rows of that data set on the Hub.

    Raises BadTrainingData.
    """
    file = yield from _found(runtime, data, rows)
    with _readable(file, FILE_MAX if file == data else sys.maxsize):
        return file, file.read_bytes()


def _found(runtime: Runtime, data: Path, rows: int) -> Generator[Progress, None, Path]:
    """The file of rows; a short name of data_sets.toml is one with the first rows of that data set on the Hub."""
    if data.exists():
        return data
    if (chosen := data_sets().get(str(data))) is None:
        raise BadTrainingData(file=data.name[:80], reason="it is neither a file nor one of the names in `datasets`")
    most = min(rows or ROWS, chosen.rows)
    return (
        yield from reported(
            lambda on_progress, cancelled: first_rows(chosen, most, runtime.settings, on_progress),
            Progress("download", detail=chosen.title),
        )
    )


def copied(file: Path, folder: Path) -> Path:
    """A copy in a new folder; raises BadTrainingData."""
    with _readable(file):
        folder.mkdir()
        return shutil.copyfile(file, folder / file.name)


@contextmanager
def _readable(file: Path, limit: int = FILE_MAX) -> Iterator[None]:
    try:
        if file.is_file() and file.stat().st_size > limit:
            raise BadTrainingData(file=file.name[:80], reason=f"it is larger than {limit // 2**20} MiB")
        yield
    except OSError as error:
        raise BadTrainingData(file=file.name[:80], reason=f"it cannot be read ({error.strerror})") from None
