"""What goes wrong at ZeroGPU's door, as errors that visitors see, with ZeroGPU's own sentence kept.

`spaces` raises Gradio's errors, which are told by their titles, so that nothing is imported to catch them.
"""

from __future__ import annotations

import re
from typing import Any

from ..domain.errors import GpuBusy, GpuPassExpired, GpuQuotaUsed, GpuRefused, GpuTaken, PaddockError
from ..engines.library_errors import detail_of

# The titles that `spaces` 0.51 gives (zero/client.py), and what stands in a message where a title has several.
_KINDS: tuple[tuple[str, str, type[GpuRefused]], ...] = (
    ("quota exceeded", "No GPU was available", GpuBusy),
    ("quota exceeded", "", GpuQuotaUsed),
    ("pending credits", "", GpuQuotaUsed),
    ("illegal duration", "", GpuQuotaUsed),
    ("queue timeout", "", GpuBusy),
    ("client error", "No GPU was available", GpuBusy),
    ("client error", "Expired", GpuPassExpired),
)
_LINK = re.compile(r"\.? \[([^\]]+)\]\(\S+?\)")  # as Markdown writes it, after a sentence


def refusal(error: BaseException, declared: int, seconds: float) -> PaddockError:
    """The error to show for what `spaces` raised `seconds` after so many were declared."""
    if isinstance(error, PaddockError):
        return error
    title = str(getattr(error, "title", ""))
    words = _words(getattr(error, "message", "")) or detail_of(error)
    if "worker error" in title:
        return GpuTaken(words=words, declared=declared, seconds=round(seconds))
    for part, said, kind in _KINDS:
        if part in title and said in words:
            return kind(words=words)
    return GpuRefused(words=words)


def _words(message: Any) -> str:
    """One line without its full stop; of a message with HTML the text, of a link its words."""
    return _LINK.sub(r". \1", " ".join(str(message).split())).rstrip(". ")
