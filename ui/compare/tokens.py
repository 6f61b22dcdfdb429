"""An answer token by token, coloured by how likely each was. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

from models.domain.results.comparison import TokenView

from .render import attribute

STEPS = (0.0, 0.05, 0.2, 0.5, 0.8)  # from which probability on a token has the colour of a step
_VISIBLE = {" ": "␣", "\n": "⏎", "\r": "⏎", "\t": "⇥", "\u00a0": "⍽"}


def tokens(answer: Sequence[TokenView]) -> str:
    """The answer with a colour a token; hovering over one or focusing it shows what else was likely.

    Marks of white space are drawn by the style sheet, so what is copied is the answer as it is.
    """
    drawn = "".join(map(_token, answer))
    return f'<div class="token-view">{_legend()}<div class="tokens">{drawn}</div></div>'


def step(probability: float) -> int:
    """The step of a colour, 1 for the unlikeliest to 5."""
    return sum(probability >= start for start in STEPS)


def _token(token: TokenView) -> str:
    title = f"{token.probability:.1%} likely"
    rivals = "\n".join(_lines([(token.text, token.probability)], "▸") + _lines(token.alternatives, " "))
    return (
        f'<span class="token s{step(token.probability)}" tabindex="0" title="{title}" '
        f'data-likely="{attribute(rivals)}">{_text(token.text)}</span>'
    )


def _lines(items: Iterable[tuple[str, float]], mark: str) -> list[str]:
    return [f"{mark} {probability:6.1%}  {shown(text)}" for text, probability in items]


def shown(text: str) -> str:
    """Text with its white space made visible, for where nothing is copied from."""
    return "".join(_VISIBLE.get(character, character) for character in text) or "(part of a character)"


def _text(text: str) -> str:
    return "".join(_gap(character) if character in _VISIBLE else escape(character) for character in text)


def _gap(character: str) -> str:
    kind = "gap" if character in " \t\u00a0" else "end"
    return f'<i data-mark="{_VISIBLE[character]}" class="{kind}">{character}</i>'


def _legend() -> str:
    ends = [*STEPS, 1.0]
    words = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(ends)]
    keys = "".join(f'<span class="token s{number}">{word}</span>' for number, word in enumerate(words, 1))
    return f'<p class="quiet legend-line" title="how likely the model held the token that was taken">{keys}</p>'
