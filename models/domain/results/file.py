"""A comparison as a JSON file, and back with nothing forged let through."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..checked_json import STRICT, Version1, read
from .comparison import Comparison, TokenView, without_tokens

FORMAT, VERSION = "paddock-comparison", 1
LONGEST_FILE = 5_000_000  # bytes


@dataclass(frozen=True, kw_only=True)
class _File(Comparison):
    __pydantic_config__ = STRICT

    format: Literal["paddock-comparison"]
    version: Version1


def to_json(comparison: Comparison) -> str:
    """The comparison as one line of JSON.

    Where thousands of tokens with their alternatives would make it longer than `from_json` reads, they are left out.
    """
    whole = _dumped(comparison)
    if len(whole.encode()) <= LONGEST_FILE:
        return whole
    return _dumped(without_tokens(comparison))


def _dumped(comparison: Comparison) -> str:
    data = {"format": FORMAT, "version": VERSION, **vars(comparison)}
    return json.dumps(data, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """A dataclass as an object; a token as a list, since there are thousands."""
    return [*vars(value).values()] if isinstance(value, TokenView) else vars(value)


def from_json(text: Any) -> Comparison:
    """The comparison that `to_json` wrote; raises BadComparison for anything else, whatever a program made of it."""
    file = read(_File, text, LONGEST_FILE)
    return Comparison(**{field.name: getattr(file, field.name) for field in fields(Comparison)})
