"""Weights on this machine, checked: what `weights` hands to the Runtime and the Runtime to an engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Form = Literal["safetensors", "gguf"]


@dataclass(frozen=True)
class Snapshot:
    """A folder of checked files (plain data, so that it crosses to a worker process).

    `path` is the folder of a safetensors model, or the GGUF file itself. `trusted` says whether the chat template
    may be rendered in this process (a listed model) or needs the sandbox (any other).
    """

    path: str
    form: Form
    origin: Literal["folder", "hub cache", "hub", "package index", "converted"]
    bytes: int
    revision: str | None = None
    trusted: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
