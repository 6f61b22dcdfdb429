"""Schemas that no engine could follow are refused before anything is loaded."""

from __future__ import annotations

import json

import pytest

from models.domain.errors import BadSchema
from models.engines.json_grammar import grammar


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "nonsense"}, "nonsense"),
        ({"type": "string", "pattern": "(a"}, "regex"),
        ({"$ref": "http://example.org/schema"}, "not present in a registry"),
    ],
)
def test_what_cannot_be_followed_is_refused(schema, reason):
    with pytest.raises(BadSchema, match=reason):
        grammar(json.dumps(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 1000},
    ],
)
def test_what_can_be_followed_has_a_grammar(schema):
    assert json.loads(grammar(json.dumps(schema)))["grammars"]
