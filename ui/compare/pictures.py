"""Charts of what was compared, a colour a candidate. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from models.domain.results.figures import FIGURES, Figure
from models.domain.results.suggestion import PERPLEXITY
from models.domain.units import size

from ..shared.language import say
from .charts import Bar, Point, bars, charts, points
from .table import Row


def pictures(rows: Sequence[Row], quality: str = PERPLEXITY) -> str:
    """Quality against memory, a chart of bars a figure that has one, and memory; empty until two can be compared.

    `quality` is the field of Measured that holds it.
    """
    good = [row for row in rows if not row.column.error]
    if len(good) < 2:
        return ""
    speeds = [_bars(figure, good) for figure in FIGURES if figure.bars]
    return charts(_quality(good, quality), *speeds, _memory(good))


def _bars(figure: Figure, rows: Sequence[Row]) -> str:
    texts = [(row, say(figure.text(row.column)) or "–") for row in rows]
    lines = [
        Bar(row.name, figure.value(row.column) or 0, text, f"{row.spelling}: {text}", colour=row.colour)
        for row, text in texts
    ]
    what = say(figure.bars)
    longer = figure.better == "higher"
    caption = say("{what}; longer is better", what=what) if longer else say("{what}; shorter is better", what=what)
    return bars(lines, caption, say(figure.meaning))


def _memory(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        measured, predicted = row.known.measured_bytes or 0, row.known.predicted_bytes
        words = [say("{bytes} measured", bytes=size(measured))] if measured else []
        words += [say("{bytes} predicted", bytes=size(predicted))] if predicted else []
        if words:
            text = size(measured) if measured else words[0]
            title = say("{variant}: weights {words}", variant=row.spelling, words=", ".join(words))
            lines.append(Bar(row.name, row.known.memory, text, title, predicted if measured else None, row.colour))
    return bars(
        lines,
        say("Memory of the weights; shorter is better, the mark is what was predicted"),
        say("bytes of the weights as loaded, and as planned before the load"),
    )


def _quality(rows: Sequence[Row], measure: str) -> str:
    name, places = say(measure.replace("_", " ")), []
    for row in rows:
        value, memory = getattr(row.known, measure), row.known.memory
        if value and memory:
            title = f"{row.spelling}: {name} {value:.3f}, {size(memory)}"
            places.append(Point(row.name, memory, value, title, row.reference, row.colour))
    if len(places) < 2:
        return ""
    caption = say("{what} against memory; lower left is better", what=name.capitalize())
    return points(places, caption, say("lower: the text is predicted better; further left: the weights take less"))
