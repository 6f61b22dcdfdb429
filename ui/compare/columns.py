"""The columns of a comparison, from the first click to the last figure. Pure; everything from outside is escaped."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from models.domain.messages import Usage
from models.domain.results.comparison import find
from models.domain.results.figures import ENDINGS, FIGURES
from models.domain.results.loops import repeats_from
from models.domain.results.suggestion import quality_measure
from models.domain.units import size

from ..shared import render
from ..shared.language import say
from . import tokens as render_tokens
from .answer_text import drawn
from .blind import BEST, NONE, TIE, candidates
from .render import colour, labels
from .state import Column, Shown
from .table import SPEED, basis, footer, short_text

ACROSS = 4  # columns beside each other on a desktop with the sidebar open
CLIP, LESS = "clip", "clip short"  # an answer, and an earlier one


def empty() -> str:
    """What stands there before anything is compared."""
    steps = (
        say("Add two variants or more."),
        say("Write a prompt and press Compare. They answer one after another, so that the figures are honest."),
        say("Mark each answer right or wrong, and see which is the smallest that is good enough."),
    )
    listed = "".join(f"<li>{escape(step)}</li>" for step in steps)
    title = escape(say("One prompt, several variants side by side."))
    return f'<div class="compare-empty"><p><b>{title}</b></p><ol>{listed}</ol></div>'


def columns(shown: Shown) -> str:
    """All columns side by side, what was asked above them, and under them the buttons of a blind vote."""
    if not shown.columns:
        return empty()
    names, count = names_of(shown), len(shown.columns)
    across = count if count <= ACROSS else -(-count // 2)
    parts = "".join(_column(shown, at, place, names[place]) for at, place in enumerate(shown.places))
    return (
        f'{_bar(shown)}<div class="compare-columns{" running" if shown.running else ""}" tabindex="0" '
        f'style="--count:{count};--across:{across}">{parts}</div>{_vote(shown)}'
    )


def names_of(shown: Shown) -> list[str]:
    """What the columns are called, by their places."""
    if shown.blind:
        return [shown.letters.get(place, say("No answer")) for place in range(len(shown.columns))]
    names = labels([column.known for column in shown.columns])
    return [f"{shown.letters[at]}: {name}" if at in shown.letters else name for at, name in enumerate(names)]


def _bar(shown: Shown) -> str:
    """The question, where all were asked just one; an undo; and how answers are drawn."""
    alone = _question(shown)
    asked = f'<p class="asked" title="{escape(alone)}">{escape(alone)}</p>' if alone else "<p></p>"
    undo = ""
    if shown.before is not None:
        gone = escape(say("A column was removed."))
        undo = f'<span class="undo">{gone} {_button("undo", say("Undo"))}</span>'
    ways = ((False, "markdown", "Markdown"), (True, "raw", say("Raw")))
    switch = "".join(_button(press, name, pressed=shown.view.raw is raw) for raw, press, name in ways)
    drawn = f'<div class="switch" role="group" aria-label="{escape(say("How answers are shown"))}">{switch}</div>'
    return f'<div class="compare-bar">{asked}<div>{undo}</div>{drawn}</div>'


def _question(shown: Shown) -> str:
    """The one question that all were asked; empty in a longer conversation."""
    asked = {tuple(turn.content for turn in column.asked if turn.role != "system") for column in shown.columns}
    only = next(iter(asked)) if len(asked) == 1 else ()
    return only[0] if len(only) == 1 else ""


def _button(press: str, words: str, pressed: bool | None = None, kind: str = "small-button", more: str = "") -> str:
    state = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    return f'<button type="button" class="{kind}" data-press="{press}"{state}{more}>{escape(words)}</button>'


def _column(shown: Shown, at: int, place: int, name: str) -> str:
    column = shown.columns[place]
    known = column.known
    is_reference = find([other.known for other in shown.columns], shown.reference) is known
    marks = [say("reference")] if is_reference and not shown.blind else []
    marks += [say("your pick")] if shown.voted == place else []
    title = "" if shown.blind else f' title="{escape(known.resolved or known.variant)}"'
    tint = "" if shown.blind else f" {colour(place)}"
    count = escape(say("{number} of {count}", number=at + 1, count=len(shown.columns)))
    # The same parts in the same order at all times, so that the page changes only what is new.
    return (
        f'<section class="compare-column{tint}" aria-label="{escape(name)}">'
        f'<div class="column-head"><h3{title}>{escape(name)} <small>{escape(", ".join(marks))}</small></h3>'
        f'<span class="place">{count}</span></div>'
        f'<div class="column-status">{_status(shown, column)}</div>'
        f"<div>{_turns(shown, column, at)}</div><div>{_answer(shown, column, at)}</div>"
        f'<div class="marking">{_marking(shown, column, at)}</div><div>{_three(shown, column)}</div>'
        f"<div>{_details(shown, column, place)}</div>"
        f'<div class="column-actions">{_actions(shown, at)}</div></section>'
    )


def _turns(shown: Shown, column: Column, at: int) -> str:
    """The conversation so far, with the question that is being answered; nothing where it stands above all."""
    if _question(shown):
        return ""
    drawn, answers = "", 0
    for turn in (turn for turn in column.asked if turn.role != "system"):
        if turn.role == "user":
            drawn += f'<p class="asked" title="{escape(turn.content)}">{escape(turn.content)}</p>'
        else:
            drawn += _clipped(_text(turn.content, shown.view.raw), f"{at}-{answers}", f"{LESS} earlier")
            drawn += f'<div class="marking">{_marks(shown, column, at, answers)}</div>'
            answers += 1
    return drawn


def _text(text: str, raw: bool) -> str:
    return f'<div class="answer earlier">{drawn(text, raw)}</div>'


def _clipped(html: str, key: str, kind: str = CLIP) -> str:
    """With a button for the rest, which the page shows where there is more."""
    more = escape(say("more"))
    less = escape(say("less"))
    return (
        f'<div class="{kind}" data-key="{key}">{html}</div><button type="button" class="more" data-more="{more}" '
        f'data-less="{less}" hidden>{more}</button>'
    )


def _answer(shown: Shown, column: Column, at: int) -> str:
    known = column.known
    if shown.blind and shown.running:  # who comes first, and how fast, would tell which one it is
        return _clipped('<div class="answer"></div>', f"{at}-last")
    error = known.error and (say("Why it gave no answer is said after the vote.") if shown.blind else say(known.error))
    if error and not known.answer:
        return _clipped(f'<div class="answer"><p class="status error">{escape(error)}</p></div>', f"{at}-last")
    differs = None if shown.blind else known.parts_at_character
    loops = None if shown.running else repeats_from(known.answer)
    who = shown.reference or say("the reference")
    title = ""
    if differs is not None and differs < len(known.answer):
        title = say("From here on it differs from the answer of {variant}", variant=who)
    elif differs is not None:
        title = say("It ends before the answer of {variant}", variant=who)
    loop = say("repeats itself from here")
    html = drawn(known.answer, shown.view.raw, differs, title, loops, loop)
    failed = f'<p class="status error">{escape(error)}</p>' if error else ""
    return _clipped(f'<div class="answer">{html}{failed}</div>', f"{at}-last")


def _status(shown: Shown, column: Column) -> str:
    known, step = column.known, column.progress
    usage = known.usage or Usage()
    if shown.blind and shown.running:
        return render.said(say("Shown when all have answered"))
    if column.problem:
        return f'<div class="status error" role="alert">{escape(column.problem)}</div>'
    if known.error:
        return render.said(say("Failed"))
    if shown.blind:
        return render.said(say("Answered") if usage.finish else say("Stopped before its turn"))
    if step is not None:
        return render.progress(replace(step, detail=""))
    if not usage.new_tokens and not known.answer:
        waiting = say("Waits for its turn") if shown.running else say("Stopped before its turn")
        return render.said(say("No answer") if usage.finish else waiting)
    end = f" · {say(ENDINGS.get(usage.finish, ''))}" if usage.finish else ""
    return render.said(say("{count} tokens", count=f"{usage.new_tokens:,}") + end)


def _marking(shown: Shown, column: Column, at: int) -> str:
    answers = column.known.answers
    return _marks(shown, column, at, answers - 1) if answers and not column.known.error and not shown.running else ""


def _marks(shown: Shown, column: Column, at: int, turn: int) -> str:
    """Two buttons, of which one, or none, is pressed."""
    said = column.known.marks[turn] if turn < len(column.known.marks) else ""
    off = " disabled" if shown.running else ""
    ways = (("right", say("Right")), ("wrong", say("Wrong")))
    return "".join(_button(f"{way}-{at}-{turn}", words, said == way, f"mark {way}", off) for way, words in ways)


def _three(shown: Shown, column: Column) -> str:
    """Speed, memory and quality: a line of figures that is there from the beginning."""
    known, need = column.known, column.need
    others = [other.known for other in shown.columns if not other.known.error]
    measure = quality_measure(others)
    found = {figure.field: figure for figure in FIGURES}
    speed, quality = found[SPEED], found[measure]
    hide = shown.blind
    memory = size(need.bytes) if need and not hide else "–"
    fits = f" <small>{escape(say('does not fit'))}</small>" if need and not need.fits and not hide else ""
    parts = (
        (
            say("speed"),
            say(speed.explained) + ("" if hide else basis(speed, known)),
            "–" if hide else escape(short_text(speed, known)),
        ),
        (say("memory"), say("the memory that must be free for it"), escape(memory) + fits),
        (say(quality.heading), say(quality.explained), "–" if hide else escape(short_text(quality, known))),
    )
    lines = "".join(
        f'<div title="{escape(means)}"><dt>{escape(name)}</dt><dd>{text}</dd></div>' for name, means, text in parts
    )
    return f'<dl class="three">{lines}</dl>'


def _details(shown: Shown, column: Column, place: int) -> str:
    """The rest of the figures, the tokens and the prompt; filled at the end, and open where it was opened."""
    if shown.blind:
        return ""
    inside = ""
    if not shown.running:
        known = column.known
        inside = footer(known, [other.known for other in shown.columns if not other.known.error])
        if known.tokens:
            inside += _opened(say("Token by token"), render_tokens.tokens(known), f"tokens-{place}")
        if known.prompt:
            inside += _opened(say("Prompt sent"), f"<pre>\n{escape(known.prompt)}</pre>", f"prompt-{place}")
    return _opened(say("Details"), inside, f"details-{place}")


def _opened(name: str, inside: str, key: str) -> str:
    return f'<details class="quiet" data-key="{key}"><summary>{escape(name)}</summary>{inside}</details>'


def _actions(shown: Shown, at: int) -> str:
    if shown.comparison is None or shown.blind:
        return ""
    again = _button(f"again-{at}", say("Run again"), more=' data-event="retry"')
    return again + (_button(f"remove-{at}", say("Remove")) if len(shown.columns) > 1 else "")


def _vote(shown: Shown) -> str:
    if shown.comparison is None or not shown.blind:
        return ""
    letters = [shown.letters[place] for place in candidates(shown)]
    buttons = [(BEST + letter, say("{letter} is best", letter=letter)) for letter in letters]
    buttons += [(TIE, say("Equally good")), (NONE, say("None is good"))]
    drawn = "".join(_button(press, words) for press, words in buttons)
    title, asked = escape(say("Your vote")), escape(say("Which answer is best?"))
    return f'<div class="vote" role="group" aria-label="{title}"><b>{asked}</b>{drawn}</div>'
