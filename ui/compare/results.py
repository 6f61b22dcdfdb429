"""What is made of a comparison: a sentence, a table, and pictures last. Pure; everything from outside is escaped."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from models.domain.results.comparison import Compared, Comparison, without_thoughts
from models.domain.results.file import to_json
from models.domain.results.report import to_csv, to_markdown
from models.domain.results.suggestion import quality_measure, suggest

from ..shared.language import say
from . import pictures as render_pictures
from .columns import names_of
from .render import labels, suggestion
from .state import Shown
from .table import Row, rows_of, table

HIDDEN = "hidden"  # of a variant before the vote; a name that is never shown


def results(shown: Shown, distance: float) -> str:
    """The sentence and the table, whose places are taken from the beginning."""
    if not shown.columns:
        return ""
    comparison = None if shown.blind else shown.comparison
    files = {} if comparison is None else _files(comparison)
    drawn = table(_rows(shown), shown.view, files, shown.hardware)
    said = _interrupted(shown) + _sentence(shown, comparison, distance)
    return f'<div class="verdict-line">{said}</div>{drawn}'


def pictures(shown: Shown) -> str:
    """Quality against memory, speeds and memory; empty until the comparison is over and names may be read."""
    if shown.comparison is None or shown.blind:
        return ""
    sound = [column.known for column in shown.columns if not column.known.error]
    return render_pictures.pictures(_rows(shown), quality_measure(sound))


def _interrupted(shown: Shown) -> str:
    if not shown.interrupted:
        return ""
    told = say("This comparison was interrupted; what it had is here. Columns can be run again one by one.")
    return f'<p class="quiet">{escape(told)}</p>'


def _sentence(shown: Shown, comparison: Comparison | None, distance: float) -> str:
    if shown.blind:
        return f'<p class="quiet">{escape(say("Names and figures are shown after the vote."))}</p>'
    if comparison is None:
        return f'<p class="quiet">{escape(say("What to choose is said once all have answered."))}</p>'
    columns = comparison.columns
    found = suggest(columns, comparison.reference, distance, labels(columns))
    hint = ""
    if found and not any(column.right + column.wrong for column in columns) and any(c.answer for c in columns):
        hint = f'<p class="quiet">{escape(say("Mark each answer right or wrong, and it counts here."))}</p>'
    return suggestion(found) + hint


def _rows(shown: Shown) -> list[Row]:
    """In the order in which the columns stand; those of a blind vote show nothing before it."""
    names = names_of(shown)
    if shown.blind:
        return [Row(names[place], "", Compared(HIDDEN)) for place in shown.places]
    rows = rows_of([column.known for column in shown.columns], shown.reference, [c.need for c in shown.columns], names)
    if shown.running:  # notes come at the end, so that nothing moves before it
        rows = [replace(row, mark="") for row in rows]
    return [rows[place] for place in shown.places]


def _files(comparison: Comparison) -> dict[str, str]:
    return {
        "json": to_json(without_thoughts(comparison)),
        "csv": to_csv(comparison),
        "markdown": to_markdown(comparison),
    }
