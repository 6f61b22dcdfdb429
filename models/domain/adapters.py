"""The table of adapters that are known by name, read from adapters.toml; a new one is one entry there and no code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .catalog import ModelCard
from .checked_json import read_table
from .variant import AdapterChoice

ADAPTERS_FILE = Path(__file__).with_name("adapters.toml")
LONGEST_LABEL = 40  # characters of an upload's name that can be read
_UPLOAD = re.compile(rf"([a-z0-9](?:[a-z0-9-]{{0,{LONGEST_LABEL - 1}}}))-([a-z2-7]{{24}})")
SHOWN = 4  # characters of its secret part, which tell two of one label apart


def upload_label(wanted: str) -> str:
    """A name or a file's name as the part of an upload's name that can be read; empty where nothing is left of it."""
    return re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:LONGEST_LABEL].strip("-")


def is_upload(name: str) -> bool:
    """Whether a name is that of an adapter that a visitor brought: LABEL-SECRET."""
    return bool(_UPLOAD.fullmatch(name))


def short_name(name: str) -> str:
    """An adapter's name for the eye: most of an upload's secret part is left out."""
    found = _UPLOAD.fullmatch(name)
    return f"{found[1]}-{found[2][:SHOWN]}…" if found else name


@dataclass(frozen=True)
class ListedAdapter:
    """An adapter that the picker offers: its name, what it does, and where its files are.

    `base` is the Hub id of the model that it was trained on. Its files lie in the repository's models/finetuned/FOLDER,
    in the operator's folder of adapters, or on the Hub as `hub_id` at `revision`.
    """

    key: str
    title: str
    base: str
    summary: str = ""
    licence: str = ""
    folder: str = ""
    hub_id: str = ""
    revision: str | None = None

    def __post_init__(self) -> None:
        AdapterChoice(self.key)  # a name that could not be spelled, or that leaves a folder, ends here
        if bool(self.folder) == bool(self.hub_id):
            raise ValueError("it needs a folder or a hub_id, one of the two")


@cache
def load_adapters(path: Path = ADAPTERS_FILE) -> tuple[ListedAdapter, ...]:
    """Read and check the table; an entry with a missing, unknown or wrong field is a ValueError that names it."""
    return tuple(read_table(path, ListedAdapter).values())


def adapters_of(card: ModelCard) -> tuple[ListedAdapter, ...]:
    """Those of the table that were trained on this model."""
    return tuple(entry for entry in load_adapters() if entry.base == card.hub_id)


@dataclass(frozen=True)
class FoundAdapter:
    """An adapter that the Hub has registered for a model; `updated` is a day like 2025-01-31, or empty."""

    hub_id: str
    downloads: int = 0
    likes: int = 0
    updated: str = ""
