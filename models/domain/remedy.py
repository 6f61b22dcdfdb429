"""What can be done at once about an error, as plain values that a page makes a button of."""

from __future__ import annotations

from dataclasses import dataclass

from .checked_json import Line, Spelling
from .errors import GpuRefused, PaddockError


@dataclass(frozen=True)
class Remedy:
    """The code of an error, the repository that it is about, and a variant that answers without what was refused."""

    code: Line = ""
    model: Line = ""
    instead: Spelling = ""


def remedy(error: PaddockError) -> Remedy:
    """What is known of it."""
    instead = error.instead if isinstance(error, GpuRefused) else ""
    return Remedy(error.code, str(error.facts.get("model", "")), instead)
