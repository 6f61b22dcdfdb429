"""A finished comparison as one HTML file that needs nothing else: no scripts, no fonts, no pictures from anywhere.

Pure; everything from outside is escaped, and the file's own policy lets a browser load and run nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from models.domain.results.comparison import Comparison, without_thoughts
from models.domain.results.figures import OF_COLUMNS
from models.domain.results.report import setup
from models.domain.results.suggestion import quality_measure, suggest

from ..shared.language import CHINESE, language, say
from .answer_text import drawn
from .pictures import against_memory, lines_of
from .render import labels, spoken
from .svg import bar_chart, point_chart
from .table import Row, long_text, rows_of

STYLE = Path(__file__).with_name("static_page.css").read_text(encoding="utf-8")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def static_page(comparison: Comparison, distance: float) -> str:
    """The whole file, in the visitor's language; `distance` is the share of quality that may be lost."""
    comparison = without_thoughts(comparison)
    rows = rows_of(comparison.columns, comparison.reference)
    title = say("{count} variants compared", count=len(rows))
    parts = [
        f"<h1>{escape(title)}</h1>",
        _verdict(comparison, distance),
        _section(say("Figures"), _figures(rows) + _meanings(rows)),
        _section("", _charts(rows)),
        _section(say("Answers"), "".join(map(_answer, rows)), "answers"),
        _section(say("How it was made"), _setup(comparison)),
    ]
    lang = "zh-CN" if language() == CHINESE else "en"
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · Paddock</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, parts))
        + "\n</main>\n</body>\n</html>\n"
    )


def _section(heading: str, inside: str, kind: str = "") -> str:
    if not inside:
        return ""
    head = f"<h2>{escape(heading)}</h2>" if heading else ""
    around = f'<div class="{kind}">{inside}</div>' if kind else inside
    return f"<section>{head}{around}</section>"


def _verdict(comparison: Comparison, distance: float) -> str:
    found = suggest(comparison.columns, comparison.reference, distance, labels(comparison.columns))
    if found is None:
        return ""
    sentence = ("" if language() == CHINESE else " ").join(map(spoken, found.said))
    return f'<p class="verdict">{escape(sentence)}</p><p class="quiet">{escape(spoken(found.why))}</p>'


def _figures(rows: Sequence[Row]) -> str:
    known = [figure for figure in OF_COLUMNS if any(figure.text(row.column) for row in rows)]
    head = "".join(f'<th scope="col">{escape(say(figure.heading))}</th>' for figure in known)
    body = ""
    for row in rows:
        mark = f" <small>{escape(say('reference'))}</small>" if row.reference else ""
        name = f'<th scope="row"><i class="swatch {row.colour}"></i>{escape(row.spelling)}{mark}</th>'
        if row.column.error:
            body += f'<tr class="failed">{name}<td colspan="{len(known)}">{escape(say(row.column.error))}</td></tr>'
        else:
            body += f"<tr>{name}{''.join(f'<td>{escape(long_text(figure, row.column))}</td>' for figure in known)}</tr>"
    notes = dict.fromkeys(text for row in rows for text in (row.column.figures.error, row.known.note) if text)
    said = "".join(f'<p class="quiet">{escape(say(note))}</p>' for note in notes)
    heads = f'<tr><th scope="col">{escape(say("variant"))}</th>{head}</tr>'
    drawn_table = f'<table class="figures"><thead>{heads}</thead><tbody>{body}</tbody></table>'
    return f'<div class="wide" tabindex="0">{drawn_table}</div>{said}'


def _meanings(rows: Sequence[Row]) -> str:
    known = [figure for figure in OF_COLUMNS if any(figure.text(row.column) for row in rows)]
    told = "".join(f"<dt>{escape(say(one.heading))}</dt><dd>{escape(say(one.explained))}</dd>" for one in known)
    return f"<details><summary>{escape(say('What the columns mean'))}</summary><dl>{told}</dl></details>"


def _charts(rows: Sequence[Row]) -> str:
    sound = [row.column for row in rows if not row.column.error]
    plot = point_chart(*against_memory(rows, quality_measure(sound)))
    inside = plot + "".join(map(bar_chart, lines_of(rows)))
    return f'<div class="charts">{inside}</div>' if inside else ""


def _answer(row: Row) -> str:
    """A column: each question with its answer, and the text that the model was given for the last one."""
    column = row.column
    parts = [f"<h3>{escape(row.spelling)}</h3>"]
    if column.error:
        parts.append(f"<p>{escape(say(column.error))}</p>")
    for question, answer in column.pairs:
        parts.append(f'<p class="asked">{escape(question)}</p>' if question else "")
        parts.append(f'<div class="answer">{drawn(answer, False)}</div>' if answer else "")
    if column.prompt:
        told = escape(say("Prompt sent to the model"))
        parts.append(f"<details><summary>{told}</summary><pre>{escape(column.prompt)}</pre></details>")
    return f'<article class="{row.colour}">{"".join(parts)}</article>'


def _setup(comparison: Comparison) -> str:
    told = "".join(f"<dt>{escape(say(name))}</dt><dd>{escape(value)}</dd>" for name, value in setup(comparison).items())
    texts = {say("System prompt"): comparison.system, say("Text that quality is measured on"): comparison.text}
    inside = "".join(
        f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
        for name, text in texts.items()
        if text
    )
    return f"<dl>{told}</dl>{inside}"
