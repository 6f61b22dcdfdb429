"""The losses of a run as a table and as a picture, for any program and any browser."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from html import escape

from ..domain.pretraining import Loss

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 60, 20, 40, 50  # pixels
COLOURS = {"train": "#8a6d3b", "held_out": "#1f6f54"}
NAMES = {"train": "while learning", "held_out": "held out"}


def csv_text(losses: Sequence[Loss]) -> str:
    """A line for each look, under the names of Loss."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Loss)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(loss) | {"train": loss.train or ""} for loss in losses)
    return text.getvalue()


def svg(losses: Sequence[Loss], title: str) -> str:
    """Both losses, in nats a token, over the tokens seen; the loss on a logarithmic scale."""
    values = [value for loss in losses for value in (loss.train, loss.held_out) if value > 0] or [1.0]
    ticks = _ticks(min(values), max(values))
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    most = max(1, max((loss.tokens for loss in losses), default=1))

    def x(tokens: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * tokens / most, 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log(value)) / (high - low), 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
    ]
    for tick in ticks:
        lines.append(f'<path d="M{LEFT} {y(tick)}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for share in range(5):
        tokens = most * share / 4
        lines.append(f'<text x="{x(tokens)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(tokens)}</text>')
    lines.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">tokens seen · loss in nats</text>')
    for place, (name, colour) in enumerate(COLOURS.items()):
        points = [(x(loss.tokens), y(value)) for loss in losses if (value := getattr(loss, name)) > 0]
        path = " ".join(f"{'L' if number else 'M'}{across} {down}" for number, (across, down) in enumerate(points))
        lines.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>' if path else "")
        across = WIDTH - RIGHT - 120
        lines.append(f'<text x="{across}" y="{TOP + 16 + 18 * place}" fill="{colour}">{NAMES[name]}</text>')
    return "\n".join([*filter(None, lines), "</svg>", ""])


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers around a range of losses, at least two."""
    steps = [base * 10.0**power for power in range(-4, 5) for base in (1, 2, 3, 5, 7)]
    below = max((step for step in steps if step <= low), default=steps[0])
    above = min((step for step in steps if step >= high and step > below), default=steps[-1])
    return [step for step in steps if below <= step <= above]


def _short(tokens: float) -> str:
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g} {name}"
    return f"{tokens:.0f}"
