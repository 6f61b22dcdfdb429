"""What was measured: a table, a picture, a sentence, and the files to take away. Pure; everything is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from models.spec.measured import COLUMNS, Measured, to_csv, to_markdown
from models.spec.units import size

TOLERANCE = 0.05  # of the reference's perplexity
LABEL_PX, HEIGHT_PX = 16, 200


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
        return f'<tr class="failed">{name}<td colspan="{len(COLUMNS) - 1}">{escape(row.error)}</td></tr>'
    cells = "".join(f'<td title="{escape(c.meaning)}">{escape(c.text(row)) or "–"}</td>' for c in COLUMNS[1:])
    return f"<tr>{name}{cells}</tr>"


def memory_of(row: Measured) -> int:
    """Bytes of the weights as they were loaded, or as planned."""
    return row.measured_bytes or row.predicted_bytes or 0


def conclusion(rows: Sequence[Measured]) -> str:
    """The smallest mode that is about as good as the reference, and the rule that says so."""
    good = [row for row in rows if row.perplexity is not None and memory_of(row)]
    reference = next((row for row in good if row.reference), None)
    if reference is None or len(good) < 2:
        return ""
    assert reference.perplexity
    limit = reference.perplexity * (1 + TOLERANCE)
    best = min((row for row in good if row.perplexity is not None and row.perplexity <= limit), key=memory_of)
    rule = (
        f"The rule: of the modes whose perplexity is at most {TOLERANCE:.0%} above that of {_mode(reference)} "
        f"({reference.perplexity:.2f}), the one whose weights take the least memory."
    )
    if best is reference:
        found = f"Nothing smaller is as good: keep {_mode(reference)}, {size(memory_of(reference))}."
    else:
        found = (
            f"{_mode(best)} is good enough: {size(memory_of(best))} instead of {size(memory_of(reference))}, "
            f"perplexity {best.perplexity:.2f} ({_change(best, reference)}){_speeds(best, reference)}."
        )
    return f'<p class="conclusion"><b>{escape(found)}</b> <span class="quiet">{escape(rule)}</span></p>'


def _change(row: Measured, reference: Measured) -> str:
    assert row.perplexity is not None
    assert reference.perplexity
    return f"{row.perplexity / reference.perplexity - 1:+.1%}"


def _speeds(row: Measured, reference: Measured) -> str:
    if not row.decode_tokens_per_s or not reference.decode_tokens_per_s:
        return ""
    return f", {row.decode_tokens_per_s:.1f} tok/s instead of {reference.decode_tokens_per_s:.1f}"


def _mode(row: Measured) -> str:
    return row.variant.rpartition("@")[2]


def chart(rows: Sequence[Measured]) -> str:
    """Perplexity against memory as points, and decode speed as bars; empty until two modes can be compared."""
    good = [row for row in rows if row.perplexity is not None and memory_of(row)]
    if len(good) < 2:
        return ""
    return f'<div class="charts">{_points(good)}{_bars(good)}</div>'


def _points(rows: Sequence[Measured]) -> str:
    widest = max(map(memory_of, rows)) * 1.25  # room for the last label
    heights = [math.log(row.perplexity or 1) for row in rows]  # one poor mode must not press the others together
    pad = max((max(heights) - min(heights)) * 0.15, 0.005)
    low, span = min(heights) - pad, max(heights) - min(heights) + 2 * pad
    reach = 0.02 + 0.025 * max(len(_mode(row)) for row in rows)  # about the width of a label on a phone
    drawn: list[str] = []
    taken: list[tuple[float, float]] = []
    for row, height in sorted(zip(rows, heights, strict=True), key=lambda pair: pair[1]):
        x, y = memory_of(row) / widest, (height - low) / span
        place = y * HEIGHT_PX
        while any(abs(x - other) < reach and abs(place - below) < LABEL_PX for other, below in taken):
            place += 1
        taken.append((x, place))
        title = escape(f"{row.variant}: perplexity {row.perplexity:.3f}, {size(memory_of(row))}")
        kind = "point reference" if row.reference else "point"
        drawn.append(f'<i class="{kind}" style="left:{x:.1%};bottom:{y:.1%}" title="{title}"></i>')
        drawn.append(f'<span style="left:{x:.1%};bottom:{place:.0f}px" title="{title}">{escape(_mode(row))}</span>')
    drawn += [f'<small class="x" style="left:{part:.0%}">{size(widest * part)}</small>' for part in (0, 0.4, 0.8)]
    drawn += [
        f'<small class="y" style="bottom:{part:.0%}">{math.exp(low + span * part):.2f}</small>' for part in (0, 0.5, 1)
    ]
    return (
        '<figure><figcaption title="lower: the text is predicted better; further left: the weights take less">'
        "Perplexity against memory; lower left is better</figcaption>"
        f'<div class="plot" style="height:{HEIGHT_PX}px">{"".join(drawn)}</div></figure>'
    )


def _bars(rows: Sequence[Measured]) -> str:
    fastest = max((row.decode_tokens_per_s or 0 for row in rows), default=0)
    if not fastest:
        return ""
    lines = "".join(
        f"<tr><td>{escape(_mode(row))}</td>"
        f'<td class="line"><i style="width:{(row.decode_tokens_per_s or 0) / fastest:.1%}"></i></td>'
        f"<td>{row.decode_tokens_per_s or 0:.1f} tok/s</td></tr>"
        for row in rows
    )
    return (
        '<figure><figcaption title="tokens a second after the first, of one greedy answer">Decode speed; longer is '
        f'better</figcaption><table class="bars">{lines}</table></figure>'
    )
