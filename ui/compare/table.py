"""Figures as a table that carries its files, and under an answer. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from models.domain.results.comparison import Compared, Comparison, find
from models.domain.results.figures import OF_COLUMNS, Figure
from models.domain.results.file import to_json
from models.domain.results.measured import Measured
from models.domain.results.report import to_csv, to_markdown

from .render import attribute, labels


@dataclass(frozen=True)
class Row:
    """A column with its short name and its whole spelling; `mark` leads to a note."""

    name: str
    spelling: str
    source: Compared
    reference: bool = False
    mark: str = ""

    @property
    def known(self) -> Measured:
        """What is measured of it."""
        return self.source.known


def of_columns(columns: Sequence[Compared], reference: str = "") -> list[Row]:
    """The columns of a comparison by their shortest names; those with the same note have the same mark."""
    against, pairs = find(columns, reference), zip(labels(columns), columns, strict=True)
    notes = dict.fromkeys(column.figures.note for column in columns if column.figures.note)
    marks = dict(zip(notes, "*†‡§¶", strict=False))
    return [
        Row(name, one.resolved or one.variant, one, one is against, marks.get(one.figures.note, ""))
        for name, one in pairs
    ]


def columns_table(comparison: Comparison) -> str:
    """A row a variant with all figures, and the files to take away: JSON, CSV and Markdown."""
    if not comparison.columns:
        return ""
    files = {"json": to_json(comparison), "csv": to_csv(comparison), "markdown": to_markdown(comparison)}
    rows = of_columns(comparison.columns, comparison.reference)
    return _table(OF_COLUMNS, rows, files)


def _table(figures: Sequence[Figure], rows: Sequence[Row], files: Mapping[str, str]) -> str:
    marks = dict.fromkeys((row.mark, row.known.note) for row in rows if row.mark)
    notes = "".join(f'<p class="quiet">{mark} {escape(note)}</p>' for mark, note in marks)
    explained = [("variant", "what was asked for"), *((figure.heading, figure.explained) for figure in figures)]
    head = "".join(f'<th scope="col" title="{escape(means)}">{escape(name)}</th>' for name, means in explained)
    body = "".join(_line(figures, row) for row in rows)
    meanings = "".join(f"<dt>{escape(name)}</dt><dd>{escape(means)}</dd>" for name, means in explained)
    data = " ".join(f'data-{form}="{attribute(text)}"' for form, text in files.items())
    return (
        f'<div class="measured-rows compared-rows" {data}><div class="wide" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}"
        f'<details class="quiet"><summary>What the columns mean</summary><dl class="facts">{meanings}</dl></details>'
        "</div>"
    )


def _line(figures: Sequence[Figure], row: Row) -> str:
    shown = f"{row.name}{' (reference)' if row.reference else ''} {row.mark}".strip()
    name = f'<th scope="row" title="{escape(row.spelling)}">{escape(shown)}</th>'
    if row.source.error:
        return f'<tr class="failed">{name}<td colspan="{len(figures)}"><p>{escape(row.source.error)}</p></td></tr>'
    cells = "".join(
        f'<td title="{escape(_meaning(figure, row.source))}">{escape(figure.text(row.source) or "–")}</td>'
        for figure in figures
    )
    return f"<tr>{name}{cells}</tr>"


def _meaning(figure: Figure, column: Compared) -> str:
    """What a figure means, and what this one rests on."""
    return "; ".join(filter(None, (figure.explained, figure.rests_on(column))))


def footer(column: Compared, beside: Sequence[Compared] = ()) -> str:
    """The figures under an answer, each with what it means, in the places that those of its neighbours have."""
    lines = "".join(
        f'<div title="{escape(_meaning(figure, column))}"><dt>{escape(figure.heading)}</dt>'
        f"<dd>{escape(figure.text(column) or '–')}</dd></div>"
        for figure in OF_COLUMNS
        if figure.under_answer and any(map(figure.text, (column, *beside)))
    )
    notes = "".join(f'<p class="quiet">{escape(text)}</p>' for text in (column.known.error, column.known.note) if text)
    return (f'<dl class="compare-figures">{lines}</dl>' if lines else "") + notes
