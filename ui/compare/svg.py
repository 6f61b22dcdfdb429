"""The charts of a comparison as inline SVG, for a page without the app's styles. Pure; all from outside is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from models.domain.units import size

from .charts import ROOM, Bar, Point
from .pictures import Lines

WIDE, LINE, BAR = 420, 38, 10  # units of a drawing: its width, the height of a line, of a bar
PLOT, LEFT, UNDER = 220, 48, 34  # the height of a plot, and the room for its scales
LONGEST = 40  # characters of a label


def bar_chart(lines: Lines) -> str:
    """A line a bar: its name and its text above it; empty where there is nothing but zeros."""
    longest = max((max(bar.value, bar.mark or 0) for bar in lines.bars), default=0)
    if not longest:
        return ""
    drawn = "".join(_bar(bar, longest, place * LINE) for place, bar in enumerate(lines.bars))
    return _figure(drawn, LINE * len(lines.bars), lines.caption, lines.meaning)


def _bar(bar: Bar, longest: float, top: int) -> str:
    width = max(1, bar.value / longest * WIDE)
    mark = ""
    if bar.mark is not None:
        x = min(bar.mark / longest * WIDE, WIDE - 2)
        mark = f'<rect class="mark" x="{x:.1f}" y="{top + 18}" width="2" height="16"/>'
    return (
        f'<text y="{top + 14}">{escape(_short(bar.label))}</text>'
        f'<text x="{WIDE}" y="{top + 14}" text-anchor="end">{escape(bar.text)}</text>'
        f'<rect class="{bar.colour}" y="{top + 21}" width="{width:.1f}" height="{BAR}" rx="2">'
        f"<title>{escape(bar.title)}</title></rect>{mark}"
    )


def point_chart(places: Sequence[Point], caption: str, meaning: str) -> str:
    """Quality, on a scale of its logarithm, against memory; empty without points."""
    if not places:
        return ""
    widest = max(point.bytes for point in places) * ROOM
    heights = [math.log(point.quality) for point in places]
    pad = max((max(heights) - min(heights)) * 0.15, 0.005)
    low, span = min(heights) - pad, max(heights) - min(heights) + 2 * pad
    drawn = [f'<path class="axis" d="M{LEFT} 0V{PLOT}H{WIDE}"/>']
    for part in (0, 0.4, 0.8):
        x = LEFT + part * (WIDE - LEFT)
        drawn.append(f'<text class="scale" x="{x:.0f}" y="{PLOT + 20}">{size(widest * part)}</text>')
    for part in (0, 0.5, 1):
        y = PLOT - part * (PLOT - 14)
        drawn.append(
            f'<text class="scale" x="{LEFT - 8}" y="{y:.0f}" text-anchor="end">{math.exp(low + span * part):.2f}</text>'
        )
    taken: list[float] = []
    for point, height in sorted(zip(places, heights, strict=True), key=lambda pair: -pair[1]):
        x, y = LEFT + point.bytes / widest * (WIDE - LEFT), PLOT - (height - low) / span * PLOT
        at = y + 4
        while any(abs(at - other) < 16 for other in taken):  # names below each other, whatever stands beside them
            at += 1
        taken.append(at)
        kind = f"point {point.colour}{' reference' if point.reference else ''}"
        beside = f'x="{x - 10:.1f}" text-anchor="end"' if x > WIDE * 0.6 else f'x="{x + 10:.1f}"'
        drawn.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(point.title)}</title></circle>'
            f'<text {beside} y="{at:.1f}">{escape(_short(point.label))}</text>'
        )
    return _figure("".join(drawn), PLOT + UNDER, caption, meaning)


def _figure(drawn: str, height: int, caption: str, meaning: str) -> str:
    return (
        f"<figure><figcaption>{escape(caption)}<small>{escape(meaning)}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDE} {height}" role="img" aria-label="{escape(caption)}">{drawn}</svg></figure>'
    )


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST // 2 - 1]}…{label[-LONGEST // 2 :]}"
