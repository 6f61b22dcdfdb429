"""JSON from outside and our own TOML tables: read strictly by a type with bounds, or refused with where and what."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from .errors import BadComparison, PaddockError
from .units import size
from .variant import LONGEST_SPELLING

# `__pydantic_config__` of what a file holds as a whole; dataclasses inside of it follow.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, str_max_length=200_000)
MOST_FIELDS = 1_000  # of one object
MOST_FAULTS = 100  # that are looked at: a hostile file may have as many as characters

Version1 = Annotated[int, Field(ge=1, le=1)]
Spelling = Annotated[str, Field(max_length=LONGEST_SPELLING)]
Line = Annotated[str, Field(max_length=1_000)]
Note = Annotated[str, Field(max_length=4_000)]
Bytes = Annotated[int, Field(ge=0, le=10**15)]
Count = Annotated[int, Field(ge=0, le=10**7)]
Seconds = Annotated[float, Field(ge=0, le=1e8)]
Speed = Annotated[float, Field(ge=0, le=1e9)]
Share = Annotated[float, Field(ge=0, le=1)]

T = TypeVar("T")


def at_most(count: int) -> Any:
    """For an annotated tuple: no longer than that, and not read on after the first fault."""
    return Field(max_length=count, fail_fast=True)


def read(kind: type[T], text: Any, most: int) -> T:
    """What a JSON text of at most `most` bytes holds, of that kind.

    Raises BadComparison for anything else, NaN included.
    """
    if not isinstance(text, str):
        raise BadComparison(reason="it is not text")
    data = text[: most + 2].removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    if len(data) > most:
        raise BadComparison(reason=f"it is larger than {size(most)}")
    try:
        json.loads(data, object_pairs_hook=_few)
        found: T = _reader(kind).validate_json(data)  # type: ignore[arg-type]
        return found
    except BadComparison:
        raise
    except ValidationError as error:
        raise BadComparison(reason=explain(error)) from None
    except (ValueError, RecursionError):
        raise BadComparison(reason="it is not JSON") from None
    except PaddockError as error:  # a spelling or a sampling value that cannot be
        raise BadComparison(reason=error.message.removesuffix(".")) from None


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    """Made when the first file is read, since most runs read none."""
    return TypeAdapter(kind)


def read_table(path: Path, kind: type[T]) -> dict[str, T]:
    """The entries of a TOML file by their key, which each has as a field too; a ValueError names what is wrong."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    entries = {key: entry | {"key": key} if isinstance(entry, dict) else entry for key, entry in table.items()}
    try:
        found: dict[str, T] = TypeAdapter(dict[str, kind], config=STRICT).validate_json(json.dumps(entries))  # type: ignore[valid-type]
        return found
    except ValidationError as error:
        raise ValueError(f"{path.name}: {explain(error)}") from None


def _few(pairs: list[tuple[str, Any]]) -> None:
    """Each unknown field is a fault that is kept in memory, so an object with very many is not looked at."""
    if len(pairs) > MOST_FIELDS:
        raise BadComparison(reason=f"an object in it has {len(pairs):,} fields")


def explain(error: ValidationError) -> str:
    """The first fault as the end of a sentence, such as "columns.1.kind should be 'base' or 'instruct'"."""
    if error.error_count() > MOST_FAULTS:
        return f"it has {error.error_count():,} faults"
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    fault = min(faults, key=lambda one: one["loc"] not in (("format",), ("version",)))  # these explain the others
    steps = (str(step + 1) if isinstance(step, int) else step[:40] for step in fault["loc"])
    where, said = ".".join(steps) or "it", fault["msg"].removeprefix("Value error, ")
    match fault["type"]:
        case "json_invalid":
            return f"it is not JSON ({said.removeprefix('Invalid JSON: ')})"
        case "missing" | "missing_argument":
            return f"{where} is missing"
        case "unexpected_keyword_argument":
            return f"{where} is not a known field"
    _, should, what = said.partition(" after validation")[0].partition(" should ")
    return f"{where}{should}{what}" if should else f"{where}: {said}"


def plain(value: Any, where: str, deep: int = 4) -> Any:
    """Plain data of no fixed form, such as what a machine is: a copy of short texts, finite numbers, lists and objects.

    Raises BadComparison.
    """
    if value is None or isinstance(value, bool) or _is_text(value, 1_000):
        return value
    if isinstance(value, int | float) and abs(value) < 1e18:  # neither NaN nor an infinity is
        return value
    if isinstance(value, list | tuple) and deep and len(value) <= 100:
        return [plain(item, where, deep - 1) for item in value]
    if isinstance(value, Mapping) and deep and len(value) <= 100 and all(_is_text(name, 100) for name in value):
        return {name: plain(item, where, deep - 1) for name, item in value.items()}
    raise BadComparison(reason=f"{where} is not short, plain data")


def _is_text(value: Any, most: int) -> bool:
    """Without halves of surrogate pairs, which cannot be written to a file."""
    return isinstance(value, str) and len(value) <= most and value == value.encode("utf-8", "ignore").decode()
