"""The losses of trainings over the tokens that they have seen, as one picture. Pure; it follows light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.training.runs.events import Loss, Seen

from ..shared.language import say

MOST = 240  # points of one line
MOST_POINTS = 30
COLOURS = 8  # of the style
SIDE = 1000  # of the square in which lines are drawn
ROOM = 0.06  # of the height, above the highest and below the lowest
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Curve:
    """One training's name and what it has told; `colour` counts from 1."""

    name: str
    seen: Seen
    colour: int


@dataclass(frozen=True)
class Frame:
    """What the picture spans: tokens from 0, losses in nats a token."""

    tokens: float
    low: float
    high: float

    def x(self, tokens: float) -> float:
        return tokens / self.tokens

    def y(self, loss: float) -> float:
        """From below."""
        return (min(loss, self.high) - self.low) / (self.high - self.low)


def plot(curves: Sequence[Curve]) -> str:
    """Held-out losses thick, with a point at each look, and those while learning thin; empty before the first loss."""
    drawn = [curve for curve in curves if curve.seen.held_out or curve.seen.learning]
    if not drawn:
        return ""
    frame = _frame(drawn)
    ticks = _ticks(frame)
    parts = [f'<svg viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none" aria-hidden="true">']
    parts += [f'<path class="grid" d="M0 {_down(frame, tick)}H{SIDE}"/>' for tick in ticks]
    for curve in drawn:
        parts.append(f'<path class="learning c{curve.colour}" d="{_path(thinned(curve.seen.learning), frame)}"/>')
        parts.append(f'<path class="held-out c{curve.colour}" d="{_path(curve.seen.held_out, frame)}"/>')
    parts.append("</svg>")
    parts += [_point(curve, loss, frame) for curve in drawn for loss in _marked(curve.seen.held_out)]
    parts += [f'<small class="y" style="bottom:{frame.y(tick):.1%}">{tick:g}</small>' for tick in ticks]
    for share in (0, 0.5, 1):
        words = short(frame.tokens * share) if share < 1 else say("{count} tokens", count=short(frame.tokens))
        parts.append(f'<small class="x at-{share * 100:.0f}" style="left:{share:.0%}">{escape(words)}</small>')
    meaning = escape(say("Loss in nats a token: less is better. Thick: held-out rows. Thin: while learning."))
    keys = "".join(f'<span><i class="swatch c{one.colour}"></i>{escape(one.name)}</span>' for one in drawn)
    return (
        f'<figure class="train-curves" role="img" aria-label="{escape(_told(drawn))}">'
        f"<figcaption>{meaning}</figcaption>"
        f'<div class="plot">{"".join(parts)}</div><p class="keys">{keys}</p></figure>'
    )


def thinned(losses: Sequence[Loss]) -> list[Loss]:
    """At most MOST points, each the mean of as many neighbours."""
    size = math.ceil(len(losses) / MOST) or 1
    groups = [losses[at : at + size] for at in range(0, len(losses), size)]
    return [Loss(group[-1].step, group[-1].tokens, sum(each.value for each in group) / len(group)) for group in groups]


def _marked(looks: Sequence[Loss]) -> list[Loss]:
    """Looks that have a point: all, or of very many only some, the last among them."""
    apart = math.ceil(len(looks) / MOST_POINTS) or 1
    return list(looks[::-apart])


def short(tokens: float) -> str:
    """A count as the eye takes it in."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g} {name}"
    return f"{tokens:.0f}"


def _frame(drawn: Sequence[Curve]) -> Frame:
    """All held-out losses and the thinned others, without what diverged."""
    held_out = [loss for curve in drawn for loss in curve.seen.held_out]
    losses = held_out + [loss for curve in drawn for loss in thinned(curve.seen.learning)]
    values = sorted(loss.value for loss in losses if math.isfinite(loss.value)) or [0.0, 1.0]
    high, low = values[-1], values[0]
    room = max((high - low) * ROOM, 0.02)
    return Frame(max(1, *(loss.tokens for loss in losses), 0), max(0.0, low - room), high + room)


def _ticks(frame: Frame) -> list[float]:
    """Round numbers, four or so."""
    rough = (frame.high - frame.low) / 4
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * step for step in STEPS if scale * step >= rough)
    first = math.ceil(frame.low / step)
    return [round(step * number, 6) for number in range(first, math.floor(frame.high / step) + 1)]


def _path(losses: Sequence[Loss], frame: Frame) -> str:
    places = [
        f"{frame.x(loss.tokens) * SIDE:.1f} {_down(frame, loss.value)}" for loss in losses if math.isfinite(loss.value)
    ]
    return "M" + "L".join(places) if len(places) > 1 else ""


def _down(frame: Frame, value: float) -> str:
    return f"{(1 - frame.y(value)) * SIDE:.1f}"


def _point(curve: Curve, loss: Loss, frame: Frame) -> str:
    if not math.isfinite(loss.value):
        return ""
    words = say("{name}, step {step}: held-out loss {loss}", name=curve.name, step=loss.step, loss=f"{loss.value:.3f}")
    place = f"left:{frame.x(loss.tokens):.1%};bottom:{frame.y(loss.value):.1%}"
    return f'<i class="point c{curve.colour}" style="{place}" title="{escape(words)}"></i>'


def _told(drawn: Sequence[Curve]) -> str:
    """The same for who does not see it."""
    told = [
        say(
            "{name}, step {step}: held-out loss {loss}",
            name=curve.name,
            step=curve.seen.held_out[-1].step,
            loss=f"{curve.seen.held_out[-1].value:.3f}",
        )
        for curve in drawn
        if curve.seen.held_out
    ]
    return "; ".join(told)
