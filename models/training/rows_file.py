"""A file of rows on the disk: read, or copied so that it stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..domain.errors import BadTrainingData
from ..domain.training_files import FILE_MAX


def read_content(file: Path) -> bytes:
    """Its bytes; raises BadTrainingData."""
    with _readable(file):
        return file.read_bytes()


def copied(file: Path, folder: Path) -> Path:
    """A copy in a new folder; raises BadTrainingData."""
    with _readable(file):
        folder.mkdir()
        return shutil.copyfile(file, folder / file.name)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        if file.is_file() and file.stat().st_size > FILE_MAX:
            raise BadTrainingData(file=file.name[:80], reason=f"it is larger than {FILE_MAX // 2**20} MiB")
        yield
    except OSError as error:
        raise BadTrainingData(file=file.name[:80], reason=f"it cannot be read ({error.strerror})") from None
