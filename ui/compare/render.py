"""Names, answers, what to choose, and text in attributes. Pure; everything from outside is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from models.domain.errors import VariantError
from models.domain.results.comparison import Compared
from models.domain.results.suggestion import Suggestion
from models.domain.variant import Variant


def labels(columns: Sequence[Compared]) -> list[str]:
    """The shortest names that tell the columns apart."""
    names = short_names([column.resolved or column.variant for column in columns])
    if len(set(names)) == len(names):
        return names
    return [column.variant for column in columns]  # what was asked for differs even where it means the same here


def short_names(spellings: Sequence[str]) -> list[str]:
    """Spellings of variants without the model where all share it."""
    try:
        variants = [Variant.parse(spelling) for spelling in spellings]
    except VariantError:
        return list(spellings)
    if len({variant.model for variant in variants}) > 1:
        return list(spellings)
    return ["+".join([variant.quantization, *map(str, variant.adapters)]) for variant in variants]


def answer(column: Compared, reference: str) -> str:
    """The answer, the first word that differs from the answer of `reference` marked."""
    if column.error and not column.answer:
        return f'<div class="answer"><p class="status error">{escape(column.error)}</p></div>'
    place, text = column.parts_at_character, column.answer
    drawn = escape(text)
    if place is not None:
        same = "From here on it differs from the answer of" if place < len(text) else "It ends before the answer of"
        title = escape(f"{same} {reference or 'the reference'}")
        kind = "" if place < len(text) else ' class="ends"'
        end = place + _first_word(text[place:])
        drawn = (
            f'{escape(text[:place])}<mark{kind} title="{title}">{escape(text[place:end])}</mark>{escape(text[end:])}'
        )
    failed = f'<p class="status error">{escape(column.error)}</p>' if column.error else ""
    return f'<div class="answer">{drawn}</div>{failed}'


def _first_word(text: str) -> int:
    """How long it is, with what stands before it."""
    found = re.match(r"\s*\S{1,40}", text)
    return found.end() if found else len(text)


def suggestion(found: Suggestion | None) -> str:
    """What to choose, and the rule behind it; empty where there is none."""
    if found is None:
        return ""
    return f'<p class="conclusion"><b>{escape(found.sentence)}</b> <span class="quiet">{escape(found.rule)}</span></p>'


def attribute(text: str) -> str:
    """An attribute that a parser leaves as it is, line ends included."""
    return escape(text).replace("\r", "&#13;").replace("\n", "&#10;")
