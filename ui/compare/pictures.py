"""Charts of what was measured or compared. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from models.domain.results.figures import FIGURES, Figure
from models.domain.results.suggestion import PERPLEXITY
from models.domain.units import size

from .charts import Bar, Point, bars, charts, points
from .table import Row


def pictures(rows: Sequence[Row], quality: str = PERPLEXITY) -> str:
    """Quality against memory, a chart of bars a figure that has one, and memory; empty until two can be compared.

    `quality` is the field of Measured that holds it.
    """
    good = [row for row in rows if not row.source.error]
    if len(good) < 2:
        return ""
    speeds = [_bars(figure, good) for figure in FIGURES if figure.bars]
    return charts(_quality(good, quality), *speeds, _memory(good))


def _bars(figure: Figure, rows: Sequence[Row]) -> str:
    texts = [(row, figure.text(row.source) or "–") for row in rows]
    lines = [Bar(row.name, figure.value(row.source) or 0, text, f"{row.spelling}: {text}") for row, text in texts]
    wanted = "longer" if figure.better == "higher" else "shorter"
    return bars(lines, f"{figure.bars}; {wanted} is better", figure.meaning)


def _memory(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        measured, predicted = row.known.measured_bytes or 0, row.known.predicted_bytes
        words = [f"{size(measured)} measured"] if measured else []
        words += [f"{size(predicted)} predicted"] if predicted else []
        if words:
            text = size(measured) if measured else words[0]
            title = f"{row.spelling}: weights {', '.join(words)}"
            lines.append(Bar(row.name, row.known.memory, text, title, predicted if measured else None))
    return bars(
        lines,
        "Memory of the weights; shorter is better, the mark is what was predicted",
        "bytes of the weights as loaded, and as planned before the load",
    )


def _quality(rows: Sequence[Row], measure: str) -> str:
    name, places = measure.replace("_", " "), []
    for row in rows:
        value, memory = getattr(row.known, measure), row.known.memory
        if value and memory:
            title = f"{row.spelling}: {name} {value:.3f}, {size(memory)}"
            places.append(Point(row.name, memory, value, title, row.reference))
    if len(places) < 2:
        return ""
    caption = f"{name.capitalize()} against memory; lower left is better"
    return points(places, caption, "lower: the text is predicted better; further left: the weights take less")
