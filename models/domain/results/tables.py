"""Rows of figures as tables in Markdown for people and in CSV for programs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from .comparison import Compared
from .figures import Figure

COMPUTED = ("=", "+", "-", "@", "\t", "\n")  # what begins a formula, also after what a spreadsheet strips


def markdown_table(figures: Sequence[Figure], rows: Sequence[tuple[str, Compared]]) -> str:
    """A line a row after its name in Markdown, with its figures or what went wrong; a figure of none has no column."""
    figures = [figure for figure in figures if any(figure.text(row) for _, row in rows)] or figures[:1]
    headings = ["variant", *(figure.heading for figure in figures)]
    lines = [f"| {' | '.join(headings)} |", "|---|" + "---:|" * len(figures)]
    for name, row in rows:
        failed = [inline(row.error), *[""] * (len(figures) - 1)]
        cells = failed if row.error else [inline(figure.text(row)) for figure in figures]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def csv_table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows under a head; None is an empty cell, and what a spreadsheet would compute is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(map(_safe, row) for row in rows)
    return out.getvalue()


def _safe(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # a bare carriage return would end the row
    return f"'{text}" if text.startswith(COMPUTED) else text


def fenced(text: str) -> str:
    """Text in a fence that is longer than any run of backticks in it, so nothing in it can end the fence."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def inline(text: str) -> str:
    """Text from outside in a line of Markdown or a cell: on one line, and none of it markup."""
    return re.sub(r"(^[-+=]|[\\`*_{}\[\]<>()#|~&!$])", r"\\\1", " ".join(text.split()))
