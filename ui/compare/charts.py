"""Points and bars as HTML, for whatever is compared. Pure; everything from outside is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.domain.units import size

LABEL_PX, HEIGHT_PX = 16, 200
LONGEST_LABEL = 16  # characters beside a bar; longer ones stand above
LONGEST_NAME = 26  # characters beside a point; longer ones are cut, and whole on hover
ROOM = 1.25  # of the widest value, so that the last label has a place


@dataclass(frozen=True)
class Point:
    """One of what is compared: bytes to the right, quality (less is better) downwards."""

    label: str
    bytes: int
    quality: float
    title: str
    reference: bool = False
    colour: str = ""


@dataclass(frozen=True)
class Bar:
    """One line of bars; `mark` is a second value on the same scale, such as what was predicted."""

    label: str
    value: float
    text: str
    title: str = ""
    mark: float | None = None
    colour: str = ""


def charts(*figures: str) -> str:
    """Pictures side by side where there is room; empty without any."""
    drawn = "".join(figures)
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def points(places: Sequence[Point], caption: str, meaning: str) -> str:
    """Quality, on a scale of its logarithm, against memory."""
    widest = max(point.bytes for point in places) * ROOM
    heights = [math.log(point.quality) for point in places]  # one poor one must not press the others together
    pad = max((max(heights) - min(heights)) * 0.15, 0.005)
    low, span = min(heights) - pad, max(heights) - min(heights) + 2 * pad
    labels = [_short(point.label) for point in places]
    drawn: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for point, label, height in sorted(zip(places, labels, heights, strict=True), key=lambda triple: triple[2]):
        x, y = point.bytes / widest, (height - low) / span
        reach = 0.02 + 0.025 * len(label)  # about the width of a label on a phone
        left = x + reach > 1.05 and x > 0.5
        start = x - reach if left else x
        place = y * HEIGHT_PX
        while any(start < to and begin < start + reach and abs(place - at) < LABEL_PX for begin, to, at in taken):
            place += 1
        taken.append((start, start + reach, place))
        title = escape(point.title)
        kind = f"point reference {point.colour}" if point.reference else f"point {point.colour}"
        side = ' class="left"' if left else ""
        drawn.append(f'<i class="{kind.strip()}" style="left:{x:.1%};bottom:{y:.1%}" title="{title}"></i>')
        style = f"left:{x:.1%};bottom:{place:.0f}px;max-width:{x if left else 1.05 - x:.0%}"
        drawn.append(f'<span{side} style="{style}" title="{title}">{escape(label)}</span>')
    drawn += [f'<small class="x" style="left:{part:.0%}">{size(widest * part)}</small>' for part in (0, 0.4, 0.8)]
    drawn += [
        f'<small class="y" style="bottom:{part:.0%}">{math.exp(low + span * part):.2f}</small>' for part in (0, 0.5, 1)
    ]
    return _figure(f'<div class="plot" style="height:{HEIGHT_PX}px">{"".join(drawn)}</div>', caption, meaning)


def _short(label: str) -> str:
    """Its beginning and its end, where the quantization and the adapters stand."""
    if len(label) <= LONGEST_NAME:
        return label
    half = LONGEST_NAME // 2
    return f"{label[: half - 1]}…{label[-half:]}"


def bars(lines: Sequence[Bar], caption: str, meaning: str) -> str:
    """A bar a line on one scale; empty where there is nothing but zeros."""
    longest = max((max(bar.value, bar.mark or 0) for bar in lines), default=0)
    if not longest:
        return ""
    rows = "".join(_line(bar, longest) for bar in lines)
    kind = "bars stacked" if max(len(bar.label) for bar in lines) > LONGEST_LABEL else "bars"
    return _figure(f'<table class="{kind}">{rows}</table>', caption, meaning)


def _figure(drawn: str, caption: str, meaning: str) -> str:
    return f'<figure><figcaption title="{escape(meaning)}">{escape(caption)}</figcaption>{drawn}</figure>'


def _line(bar: Bar, longest: float) -> str:
    title = f' title="{escape(bar.title)}"' if bar.title else ""
    mark = "" if bar.mark is None else f'<b style="left:{bar.mark / longest:.1%}"></b>'
    kind = f' class="{bar.colour}"' if bar.colour else ""
    drawn = f'<i{kind} style="width:{bar.value / longest:.1%}"></i>{mark}'
    if mark:
        drawn = f'<div class="marked">{drawn}</div>'
    return f'<tr{title}><td>{escape(bar.label)}</td><td class="line">{drawn}</td><td>{escape(bar.text)}</td></tr>'
