"""What weights that were written here are made of, noted beside them, so that a model card can say it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.files import read_json

FILE = "made.json"


@dataclass(frozen=True)
class Made:
    """The Hub id of the base and its commit, its licence, the mode that the weights are in, the adapters in them.

    The base is empty for what was trained from nothing. `figures` by their names, such as the perplexity of a GGUF
    file; `training` is the training.json of the folder that was converted.
    """

    base: str
    licence: str
    revision: str | None = None
    variant: str = ""
    quantization: str = ""
    adapters: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def made_of(runtime: Runtime, variant: Variant, quantization: str) -> Made:
    """What the files of a variant are made of; raises what `Runtime.card` does."""
    card = runtime.card(variant)
    adapters = tuple(map(str, variant.adapters))
    return Made(card.hub_id, card.licence, card.revision, str(variant), quantization, adapters)


def beside(file: Path) -> Path:
    """Where the note of a single file lies."""
    return file.with_name(f"{file.name}.{FILE}")


def read_made(path: Path) -> Made | None:
    """The note of a folder or of a file; None where there is none."""
    found: dict[str, Any] = read_json(path / FILE if path.is_dir() else beside(path))
    if not isinstance(found.get("base"), str):
        return None
    figures = {name: float(value) for name, value in dict(found.get("figures") or {}).items()}
    return Made(
        found["base"],
        str(found.get("licence") or ""),
        found.get("revision"),
        str(found.get("variant") or ""),
        str(found.get("quantization") or ""),
        tuple(map(str, found.get("adapters") or ())),
        figures,
        dict(found.get("training") or {}),
    )
