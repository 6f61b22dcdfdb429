"""Charts of what was compared, a colour a candidate. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.domain.results.figures import FIGURES, Figure
from models.domain.results.suggestion import PERPLEXITY
from models.domain.units import size

from ..shared.language import say
from .charts import Bar, Point, bars, charts, points
from .table import Row


@dataclass(frozen=True)
class Lines:
    """A chart of bars before it is drawn; its caption says which way is better, its meaning what is shown."""

    bars: tuple[Bar, ...]
    caption: str
    meaning: str


def pictures(rows: Sequence[Row], quality: str = PERPLEXITY) -> str:
    """Quality against memory, a chart of bars a figure that has one, and memory; empty until two can be compared.

    `quality` is the field of Measured that holds it.
    """
    places, caption, meaning = against_memory(rows, quality)
    plot = points(places, caption, meaning) if places else ""
    return charts(plot, *(bars(one.bars, one.caption, one.meaning) for one in lines_of(rows)))


def lines_of(rows: Sequence[Row]) -> list[Lines]:
    """The charts of bars; none until two can be compared."""
    good = [row for row in rows if not row.column.error]
    return [*(_speeds(figure, good) for figure in FIGURES if figure.bars), _memory(good)] if len(good) > 1 else []


def against_memory(rows: Sequence[Row], measure: str = PERPLEXITY) -> tuple[list[Point], str, str]:
    """Quality against memory: points, a caption, and what it means; no points until there are two."""
    name, places = say(measure.replace("_", " ")), []
    for row in rows:
        value, memory = getattr(row.known, measure), row.known.memory
        if value and memory and not row.column.error:
            title = f"{row.spelling}: {name} {value:.3f}, {size(memory)}"
            places.append(Point(row.name, memory, value, title, row.reference, row.colour))
    caption = say("{what} against memory; lower left is better", what=name.capitalize())
    meaning = say("lower: the text is predicted better; further left: the weights take less")
    return places if len(places) > 1 else [], caption, meaning


def _speeds(figure: Figure, rows: Sequence[Row]) -> Lines:
    texts = [(row, say(figure.text(row.column)) or "–") for row in rows]
    found = [
        Bar(row.name, figure.value(row.column) or 0, text, f"{row.spelling}: {text}", colour=row.colour)
        for row, text in texts
    ]
    what = say(figure.bars)
    longer = figure.better == "higher"
    caption = say("{what}; longer is better", what=what) if longer else say("{what}; shorter is better", what=what)
    return Lines(tuple(found), caption, say(figure.meaning))


def _memory(rows: Sequence[Row]) -> Lines:
    found = []
    for row in rows:
        measured, predicted = row.known.measured_bytes or 0, row.known.predicted_bytes
        words = [say("{bytes} measured", bytes=size(measured))] if measured else []
        words += [say("{bytes} predicted", bytes=size(predicted))] if predicted else []
        if words:
            text = size(measured) if measured else words[0]
            title = say("{variant}: weights {words}", variant=row.spelling, words=", ".join(words))
            found.append(Bar(row.name, row.known.memory, text, title, predicted if measured else None, row.colour))
    return Lines(
        tuple(found),
        say("Memory of the weights; shorter is better, the mark is what was predicted"),
        say("bytes of the weights as loaded, and as planned before the load"),
    )
