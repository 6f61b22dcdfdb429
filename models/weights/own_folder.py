"""The folder that this app keeps its own files in: PADDOCK_CACHE_DIR, made at the first use."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..domain.errors import BadCacheFolder
from ..domain.settings import Settings

VARIABLE = "PADDOCK_CACHE_DIR"
REASONS = {
    errno.EEXIST: "it is a file",
    errno.ENOTDIR: "it lies below a file",
    errno.EACCES: "this process may not write there",
    errno.EPERM: "this process may not write there",
    errno.EROFS: "the file system is read-only",
}


def require(settings: Settings) -> Path:
    """The folder, which is there now and can be written to; raises BadCacheFolder."""
    folder = settings.cache
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(folder))
    except OSError as error:
        if error.errno not in REASONS:
            raise
        raise refusal(error, folder) from error
    return folder


def refusal(error: OSError, folder: Path, variable: str = VARIABLE) -> BadCacheFolder:
    """What to say when nothing can be written to a folder that `variable` names."""
    return BadCacheFolder(folder=str(folder), reason=REASONS[error.errno or errno.EACCES], variable=variable)


def is_its_fault(error: BaseException, folder: Path) -> bool:
    """Whether an exception says that a folder, or something in it, cannot be made or written."""
    if not isinstance(error, OSError) or error.errno not in REASONS:
        return False
    path = Path(str(error.filename)) if error.filename else folder
    return path.is_relative_to(folder) or folder.is_relative_to(path)
