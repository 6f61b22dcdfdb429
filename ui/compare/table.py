"""What was measured: a table, a picture, a sentence, and the files to take away. Pure; everything is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from models.domain.results.measured import COLUMNS, Measured, memory_of, to_csv, to_markdown
from models.domain.results.suggestion import suggest_mode
from models.domain.units import size

from .charts import LABEL_PX as LABEL_PX
from .charts import Bar, Point, bars, charts, points
from .suggestion import suggestion


def table(rows: Sequence[Measured]) -> str:
    """The rows as a table that carries its CSV and Markdown, with what its columns mean."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col" title="{escape(c.meaning)}">{escape(c.heading)}</th>' for c in COLUMNS)
    marks = dict(zip(dict.fromkeys(row.note for row in rows if row.note), "*†‡", strict=False))
    body = "".join(_row(row, marks.get(row.note, "")) for row in rows)
    notes = "".join(f'<p class="quiet">{mark} {escape(note)}</p>' for note, mark in marks.items())
    meanings = "".join(f"<dt>{escape(c.heading)}</dt><dd>{escape(c.meaning)}</dd>" for c in COLUMNS)
    model = escape(rows[0].variant.rpartition("@")[0])
    files = f'data-csv="{escape(to_csv(rows))}" data-markdown="{escape(to_markdown(rows))}"'
    return (
        f'<div class="measured-rows" {files}><div class="wide"><table><caption>{model}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}"
        f'<details class="quiet"><summary>What the columns mean</summary><dl class="facts">{meanings}</dl></details>'
        "</div>"
    )


def _row(row: Measured, mark: str) -> str:
    shown = f"{_mode(row)}{' (reference)' if row.reference else ''} {mark}".strip()
    name = f'<th scope="row" title="{escape(row.variant)}">{escape(shown)}</th>'
    if row.error:
        return f'<tr class="failed">{name}<td colspan="{len(COLUMNS) - 1}"><p>{escape(row.error)}</p></td></tr>'
    cells = "".join(f'<td title="{escape(c.meaning)}">{escape(c.text(row)) or "–"}</td>' for c in COLUMNS[1:])
    return f"<tr>{name}{cells}</tr>"


def conclusion(rows: Sequence[Measured]) -> str:
    """The smallest mode that is about as good as the reference, and the rule that says so."""
    return suggestion(suggest_mode(rows))


def _mode(row: Measured) -> str:
    return row.variant.rpartition("@")[2]


def chart(rows: Sequence[Measured]) -> str:
    """Perplexity against memory as points, and decode speed as bars; empty until two modes can be compared."""
    good = [row for row in rows if row.perplexity is not None and memory_of(row)]
    if len(good) < 2:
        return ""
    return charts(_points(good), _bars(good))


def _points(rows: Sequence[Measured]) -> str:
    places = [
        Point(
            _mode(row),
            memory_of(row),
            row.perplexity or 1,
            f"{row.variant}: perplexity {row.perplexity:.3f}, {size(memory_of(row))}",
            row.reference,
        )
        for row in rows
    ]
    caption = "Perplexity against memory; lower left is better"
    return points(places, caption, "lower: the text is predicted better; further left: the weights take less")


def _bars(rows: Sequence[Measured]) -> str:
    speeds = [(_mode(row), row.decode_tokens_per_s or 0) for row in rows]
    lines = [Bar(name, speed, f"{speed:.1f} tok/s") for name, speed in speeds]
    return bars(lines, "Decode speed; longer is better", "tokens a second after the first, of one greedy answer")
