"""What the disk says when something cannot be written, as our errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..domain.errors import CannotWrite, DiskFilled
from .own_folder import REASONS

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """Raise DiskFilled or CannotWrite for what the system raises while something is written to a folder."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFilled(file=what, folder=str(folder)) from error
        reason = REASONS.get(error.errno or 0) or f"the system says “{error.strerror or type(error).__name__}”"
        raise CannotWrite(folder=str(folder), reason=reason) from error
