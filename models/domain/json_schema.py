"""The JSON schema that an answer has to follow, as text that every engine is given. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .errors import BadSchema

LONGEST_SCHEMA = 20_000  # characters
DEEPEST = 32
MOST_REPEATED = 1000  # items or characters, of which llama.cpp's grammar has a rule each
COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
ANY_OBJECT = '{"type":"object"}'


def schema_text(schema: Any) -> str:
    """A schema as JSON on one line; raises BadSchema for one that is no object, too long or too deep."""
    if not isinstance(schema, dict):
        raise BadSchema(reason="it is not an object")
    if _depth(schema) > DEEPEST:
        raise BadSchema(reason=f"it is nested more than {DEEPEST} deep")
    if any(name in COUNTS and isinstance(count, int) and count > MOST_REPEATED for name, count in _entries(schema)):
        raise BadSchema(reason=f"a count in it is above {MOST_REPEATED:,}")
    text = json.dumps(schema, separators=(",", ":"))
    if len(text) > LONGEST_SCHEMA:
        raise BadSchema(reason=f"it has {len(text):,} characters, and at most {LONGEST_SCHEMA:,} are read")
    return text


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every name with what stands under it, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _entries(each)


def _depth(value: Any, deep: int = 1) -> int:
    if deep > DEEPEST or not isinstance(value, dict | list):
        return deep
    inner = value.values() if isinstance(value, dict) else value
    return max((_depth(each, deep + 1) for each in inner), default=deep)
