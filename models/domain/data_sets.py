"""Open data sets to finetune with, by their short names: what they are, how many rows, under which licence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROWS = 10_000  # that are read where nobody says how many


@dataclass(frozen=True)
class DataSet:
    """A split of a data set on the Hub; `form` are the fields of a row, and `leaves` are others that are not used."""

    name: str
    title: str
    hub_id: str
    rows: int
    licence: str
    languages: str
    form: str
    split: str = "train"
    leaves: tuple[str, ...] = ()


@cache
def data_sets() -> Mapping[str, DataSet]:
    """All of data_sets.toml, by name."""
    found = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: DataSet(name, **facts | {"leaves": tuple(facts.get("leaves", ()))}) for name, facts in found.items()}
