"""A JSON schema as a grammar of llguidance, which also says of every engine's whether it can be followed."""

from __future__ import annotations

from typing import Any

from ..domain.errors import BadSchema


def grammar(schema: str) -> str:
    """The grammar of a schema; raises BadSchema for one that is none, or asks for what cannot be checked by token."""
    from llguidance import LLMatcher

    # Blanks between the parts of an object could go on for ever with a small model.
    options: Any = {"whitespace_flexible": False, "coerce_one_of": True}
    try:
        written = LLMatcher.grammar_from_json_schema(schema, overrides=options)
    except ValueError as error:
        raise BadSchema(reason=_line(str(error))) from None
    if wrong := LLMatcher.validate_grammar(written, None):
        raise BadSchema(reason=_line(wrong))
    return written


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
