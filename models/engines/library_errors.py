"""The one place that turns third-party exceptions into the errors that visitors see.

Classes are told apart by name and module, so that nothing heavy is imported to catch them.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..domain.errors import (
    CorruptWeights,
    DiskFilled,
    EngineFailed,
    GpuFailed,
    OutOfMemory,
    PaddockError,
    TemplateFailed,
)

_MEMORY_TEXTS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate",
    "alloc_failed",
)
_DISK_TEXTS = ("no space left", "disk quota exceeded", "pytorchstreamwriter failed writing")
_GPU_TEXTS = ("cuda error", "cublas_status", "cudnn_status", "cudnn error", "nccl error", "hip error")
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\":]+){2,}[\\/]?|file://\S+")
_LONGEST_DETAIL = 300


@contextmanager
def translated(during: str) -> Iterator[None]:
    """Raise what happens inside as a PaddockError; `during` completes “not enough memory …”, like “while loading”."""
    try:
        yield
    except PaddockError:
        raise
    except Exception as error:
        raise translate(error, during) from error


def translate(error: BaseException, during: str) -> PaddockError:
    """The error to show for any exception."""
    if isinstance(error, PaddockError):
        return error
    text = str(error).lower()
    if isinstance(error, MemoryError) or _is(error, "OutOfMemoryError"):
        return OutOfMemory(during=during)
    if isinstance(error, RuntimeError | OSError) and any(mark in text for mark in _MEMORY_TEXTS):
        return OutOfMemory(during=during)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or any(mark in text for mark in _DISK_TEXTS):
        return DiskFilled(file="a file", folder="the cache folder")
    if _is(error, "SafetensorError"):
        return CorruptWeights(file="The weight file", reason=detail_of(error))
    if any(kind.__module__.split(".")[0] == "jinja2" for kind in type(error).__mro__):
        return TemplateFailed(reason=detail_of(error))
    if _is(error, "AcceleratorError") or (isinstance(error, RuntimeError) and any(mark in text for mark in _GPU_TEXTS)):
        return GpuFailed(detail=detail_of(error))
    return EngineFailed(detail=detail_of(error))


def detail_of(error: BaseException) -> str:
    """The exception's own words in one short line, without local paths or a full stop."""
    words = without_paths(" ".join(str(error).split()))
    if len(words) > _LONGEST_DETAIL:
        words = words[:_LONGEST_DETAIL] + "…"
    return (f"{type(error).__name__}: {words}" if words else type(error).__name__).rstrip(".")


def without_paths(text: str) -> str:
    """The text with each local path shortened to its last part."""
    return _PATH.sub(lambda match: "…" + re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], text)


def _is(error: BaseException, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(error).__mro__)
