"""The columns of a comparison, from the first click to the last figure. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from models.domain.messages import Message, Usage
from models.domain.results.comparison import find
from models.domain.results.figures import ENDINGS, speed_text
from models.domain.results.suggestion import quality_measure, suggest

from ..shared import render
from . import tokens as render_tokens
from .blind import BEST, LETTERS, NONE, TIE, candidates
from .pictures import pictures
from .render import answer, labels, suggestion
from .state import Column, Shown
from .table import columns_table, footer, of_columns

EMPTY = (
    '<div class="compare-empty"><p><b>One prompt, several variants side by side.</b></p><ol>'
    "<li>Take a list that is ready made, or add variants one by one from the sidebar.</li>"
    "<li>Write a prompt and press Compare. Variants answer one after another, so that the figures are honest.</li>"
    "<li>Read the answers, what each took in memory and time, and which one is good enough.</li></ol></div>"
)
HIDDEN_FAILURE = "This one gave no answer; why, is said after the vote."


def columns(shown: Shown) -> str:
    """All columns side by side, and under them the buttons of a blind vote."""
    if not shown.columns:
        return EMPTY
    names = _names(shown)
    drawn = "".join(_column(shown, place, names[at]) for at, place in enumerate(shown.places))
    return f'<div class="compare-columns" tabindex="0">{drawn}</div>{_vote(shown)}'


def results(shown: Shown, distance: float) -> str:
    """The suggestion, the pictures and the table; empty until the comparison is over and names may be read."""
    comparison = shown.comparison
    if comparison is None or shown.blind:
        return ""
    found = suggest(comparison.columns, comparison.reference, distance) if comparison.text else None
    sound = [column for column in comparison.columns if not column.error]
    drawn = pictures(of_columns(comparison.columns, comparison.reference), quality_measure(sound))
    return suggestion(found) + drawn + columns_table(comparison)


def _names(shown: Shown) -> list[str]:
    if shown.blind:
        return list(LETTERS[: len(shown.columns)])
    names = labels([column.known for column in shown.columns])
    letters = [f"{LETTERS[at]}: " if shown.order else "" for at in range(len(names))]
    return [letters[at] + names[place] for at, place in enumerate(shown.places)]


def _column(shown: Shown, place: int, name: str) -> str:
    column = shown.columns[place]
    known = column.known
    spelling = known.resolved or known.variant
    is_reference = find([other.known for other in shown.columns], shown.reference) is known
    marks = "reference" if is_reference and not shown.blind else ""
    if shown.voted == place:
        marks = f"{marks}, your pick".removeprefix(", ")
    title = "" if shown.blind else f' title="{escape(spelling)}"'
    # The same parts in the same order at all times, so that the page changes only what is new.
    return (
        f'<section class="compare-column" aria-label="{escape(name)}">'
        f"<h3{title}>{escape(name)} <small>{escape(marks)}</small></h3>"
        f'<div class="column-status">{_status(shown, column)}</div>'
        f"<div>{_turns(column.asked)}</div><div>{_answer(shown, column)}</div><div>{_figures(shown, column)}</div>"
        f"<div>{_details(shown, column)}</div></section>"
    )


def _turns(asked: Sequence[Message]) -> str:
    """The conversation so far, with the question that is being answered."""
    turns = [turn for turn in asked if turn.role != "system"]
    return "".join(
        f'<p class="asked" title="{escape(turn.content)}">{escape(turn.content)}</p>'
        if turn.role == "user"
        else f'<div class="answer earlier">{escape(turn.content)}</div>'
        for turn in turns
    )


def _answer(shown: Shown, column: Column) -> str:
    known = column.known
    if shown.blind and shown.running:  # who comes first, and how fast, would tell which one it is
        return ""
    if shown.blind:
        known = replace(known, error=known.error and HIDDEN_FAILURE, parts_at_character=None)
    return answer(known, shown.reference)


def _status(shown: Shown, column: Column) -> str:
    known, step = column.known, column.progress
    usage = known.usage or Usage()
    if shown.blind and shown.running:
        return render.said("Shown when all have answered")
    if known.error:
        return render.said("Failed")
    if shown.blind:
        return render.said("Answered" if usage.finish else "Stopped before its turn")
    if step is not None:
        return render.progress(replace(step, detail=""))
    if not usage.new_tokens and not known.answer:
        waiting = "Waits for its turn" if shown.running else "Stopped before its turn"
        return render.said("No answer" if usage.finish else waiting)
    speed = speed_text(usage.decode_tokens_per_s, usage.new_tokens)
    end = ENDINGS.get(usage.finish, "") if usage.finish else ""
    return render.said(" · ".join(filter(None, (f"{usage.new_tokens:,} tokens", speed, end))))


def _figures(shown: Shown, column: Column) -> str:
    known = column.known
    answered = known.usage is not None and known.usage.finish is not None
    if shown.blind or known.error or not answered:
        return ""
    return footer(known, [other.known for other in shown.columns if not other.known.error])


def _details(shown: Shown, column: Column) -> str:
    """What opens on demand; drawn at the end, since what is drawn anew closes."""
    if shown.running or shown.blind:
        return ""
    known, parts = column.known, []
    if known.tokens:
        tokens = render_tokens.tokens(known)
        parts.append(f'<details class="quiet"><summary>Token by token</summary>{tokens}</details>')
    if known.prompt:
        prompt = escape(known.prompt)
        parts.append(f'<details class="quiet"><summary>Prompt sent</summary><pre>\n{prompt}</pre></details>')
    return "".join(parts)


def _vote(shown: Shown) -> str:
    if shown.comparison is None or not shown.blind:
        return ""
    places = shown.places
    letters = [LETTERS[places.index(place)] for place in candidates(shown)]
    buttons = [(BEST + letter, f"{letter} is best") for letter in letters]
    buttons += [(TIE, "Equally good"), (NONE, "None is good")]
    drawn = "".join(
        f'<button class="small-button" type="button" data-press="{press}">{words}</button>' for press, words in buttons
    )
    return f'<div class="vote" role="group" aria-label="Your vote"><b>Which answer is best?</b>{drawn}</div>'
