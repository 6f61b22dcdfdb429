"""What blind votes make of the variants. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from models.domain.results.ranking import Ranked

SCORE = (
    "400 more is ten times as likely to be picked; the mean is 1000. The line is the range in which the score "
    "lies with 95 % probability"
)


def ranking(rows: Sequence[Ranked]) -> str:
    """The variants by score, each with its interval on one scale, and whether the first is really ahead."""
    if not rows:
        return '<p class="quiet">No votes yet: compare without names, and pick the better answer.</p>'
    low, high = min(row.low for row in rows), max(row.high for row in rows)
    lines = "".join(_row(row, place, low, high - low or 1) for place, row in enumerate(rows, 1))
    head = "".join(
        f'<th scope="col" title="{escape(meaning)}">{name}</th>'
        for name, meaning in (
            ("", "place"),
            ("variant", "what was voted on without its name"),
            ("score", SCORE),
            ("won", "votes it won, of those it was in"),
        )
    )
    return (
        f'<div class="ranking"><p class="conclusion"><b>{escape(_sentence(rows))}</b></p>'
        f'<table class="bars"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _row(row: Ranked, place: int, low: float, span: float) -> str:
    start, width, middle = (row.low - low) / span, (row.high - row.low) / span, (row.score - low) / span
    title = f"{row.score:.0f}, with 95 % probability from {row.low:.0f} to {row.high:.0f}"
    return (
        f'<tr><td>{place}</td><th scope="row">{escape(row.variant)}</th><td class="score" title="{title}">'
        f"<span>{row.score:.0f} <small>({row.low:.0f} to {row.high:.0f})</small></span>"
        f'<div class="interval"><i style="left:{start:.1%};width:{width:.1%}"></i>'
        f'<b style="left:{middle:.1%}"></b></div>'
        f"</td><td>{row.wins} of {row.votes}</td></tr>"
    )


def _sentence(rows: Sequence[Ranked]) -> str:
    if len(rows) < 2:
        return f"{rows[0].variant} is alone."
    first, second = rows[:2]
    if first.low > second.high:
        return f"{first.variant} is ahead of all others."
    return f"Too few votes to tell {first.variant} from {second.variant}."
