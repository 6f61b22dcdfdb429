"""JSON from outside, read piece by piece: a reader makes one of our values of a parsed one, or says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from .units import size

Reader = Callable[[Any, str], Any]  # of a value, and where it stands


class Unfit(ValueError):
    """What is wrong with the data, as the end of a sentence."""


def parse(text: Any, most: int) -> Any:
    """The data of a JSON text of at most `most` bytes; raises Unfit, also for NaN and for what is nested too deep."""
    if not isinstance(text, str):
        raise Unfit("it is not text")
    if len(text) > most or len(text.encode("utf-8", "surrogatepass")) > most:
        raise Unfit(f"it is larger than {size(most)}")
    try:
        return json.loads(text.removeprefix("\ufeff"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Unfit("it is not JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def body(data: Any, form: str, version: int) -> dict[str, Any]:
    """The fields beside `format` and `version`, which have to be these; raises Unfit."""
    if not isinstance(data, dict) or data.get("format") != form:
        raise Unfit(f"it is not of the format {form}")
    found = data.get("version")
    if found is not version:  # neither 1.0 nor true is 1
        known = isinstance(found, int) and not isinstance(found, bool) and abs(found) < 10**6
        raise Unfit(f"its version is {found if known else 'unknown'}, and this app reads version {version}")
    return {name: value for name, value in data.items() if name not in ("format", "version")}


def text(most: int) -> Reader:
    """Text of at most so many characters, without halves of surrogate pairs."""

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise Unfit(f"{where} is not text of at most {most:,} characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unfit(f"{where} holds a broken character") from None
        return value

    return read


def number(low: float, high: float) -> Reader:
    """A number within bounds."""

    def read(value: Any, where: str) -> float:
        if not _is_number(value) or not low <= value <= high:  # NaN is within no bounds
            raise Unfit(f"{where} is not a number from {low:g} to {high:g}")
        return float(value)

    return read


def whole(low: int, high: int) -> Reader:
    """A whole number within bounds."""

    def read(value: Any, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Unfit(f"{where} is not a whole number from {low:,} to {high:,}")
        return value

    return read


def flag(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Unfit(f"{where} is neither true nor false")
    return value


def one_of(*allowed: str) -> Reader:
    """One of some words."""

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise Unfit(f"{where} is not one of {', '.join(allowed)}")
        return value

    return read


def maybe(reader: Reader) -> Reader:
    """What the reader reads, or null."""
    return lambda value, where: None if value is None else reader(value, where)


def several(reader: Reader, most: int) -> Reader:
    """A tuple of at most so many of what the reader reads."""

    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise Unfit(f"{where} is not a list of at most {most:,}")
        return tuple(reader(item, f"{where}.{place}") for place, item in enumerate(value, 1))

    return read


def row(make: Callable[..., Any], *readers: Reader) -> Reader:
    """What `make` makes of a list with one item a reader."""

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list) or len(value) != len(readers):
            raise Unfit(f"{where} is not a list of {len(readers)}")
        return make(*(one(item, where) for one, item in zip(readers, value, strict=True)))

    return read


def record(cls: type, readers: Mapping[str, Reader]) -> Reader:
    """A dataclass; a field that has a default may be missing, so that a field added later makes no file unreadable."""
    required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}

    def read(value: Any, where: str) -> Any:
        inside = where or "it"
        if not isinstance(value, dict):
            raise Unfit(f"{inside} is not an object")
        if unknown := value.keys() - readers.keys():
            raise Unfit(f"{inside} has the unknown field “{min(unknown)[:40]}”")
        if missing := required - value.keys():
            raise Unfit(f"{inside} has no {min(missing)}")
        return cls(**{name: readers[name](found, f"{where}.{name}".strip(".")) for name, found in value.items()})

    return read


def plain(value: Any, where: str, deep: int = 4) -> Any:
    """Plain data of no fixed form, such as what a machine is: a copy of texts, finite numbers, lists and objects."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(1_000)(value, where)
    if _is_number(value) and abs(value) < 1e18:  # neither NaN nor an infinity is
        return value
    if isinstance(value, list | tuple) and deep and len(value) <= 100:
        return [plain(item, where, deep - 1) for item in value]
    if isinstance(value, Mapping) and deep and len(value) <= 100:
        return {text(100)(name, where): plain(item, where, deep - 1) for name, item in value.items()}
    raise Unfit(f"{where} holds something that is not short and plain data")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
