"""Names, sentences, fits, and text in attributes. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from models.domain.errors import VariantError
from models.domain.results.comparison import Compared
from models.domain.results.suggestion import Said, Suggestion
from models.domain.variant import Variant

from ..shared.language import CHINESE, language, say
from .state import Need

COLOURS = 8  # of candidates, in the style sheet


def colour(place: int) -> str:
    """The class that gives a candidate its colour, the same in the table, the columns and the pictures."""
    return f"c{place % COLOURS + 1}"


def labels(columns: Sequence[Compared]) -> list[str]:
    """The shortest names that tell the columns apart."""
    names = short_names([column.resolved or column.variant for column in columns])
    if len(set(names)) == len(names):
        return names
    return [column.variant for column in columns]  # what was asked for differs even where it means the same here


def short_names(spellings: Sequence[str]) -> list[str]:
    """Spellings of variants without the model, or without the quantization, where all share it."""
    try:
        variants = [Variant.parse(spelling) for spelling in spellings]
    except VariantError:
        return list(spellings)
    several = len({variant.model for variant in variants}) > 1
    if several and len({variant.quantization for variant in variants}) > 1:
        return list(spellings)
    return ["+".join([one.model if several else one.quantization, *map(str, one.adapters)]) for one in variants]


def suggestion(found: Suggestion | None) -> str:
    """What to choose and how far that reaches, and the rule behind it; empty where there is none."""
    if found is None:
        return ""
    sentence = ("" if language() == CHINESE else " ").join(map(spoken, found.said))
    why = f'<details class="quiet"><summary>{escape(say("Why"))}</summary><p>{escape(spoken(found.why))}</p></details>'
    return f'<div class="conclusion"><p>{escape(sentence)}</p>{why}</div>'


def spoken(said: Said) -> str:
    """A sentence in the visitor's language."""
    values = {name: say(value) if name == "measure" else value for name, value in said.values.items()}
    return say(said.template, **values)


def fit(need: Need | None) -> str:
    """Whether it fits the chosen hardware, in a word."""
    if need is None:
        return "–"
    return say("tight") if need.tight else say("yes") if need.fits else say("no")


def attribute(text: str) -> str:
    """An attribute that a parser leaves as it is, line ends included."""
    return escape(text).replace("\r", "&#13;").replace("\n", "&#10;")
