"""The columns of a comparison, from the first click to the last figure. Pure; everything from outside is escaped."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from models.domain.messages import Usage
from models.domain.results.comparison import Asked, agreeing_prefix, find
from models.domain.results.figures import FIGURES, ending
from models.domain.results.loops import repeats_from
from models.domain.results.suggestion import quality_measure
from models.domain.units import size

from ..shared import render
from ..shared.language import say
from . import tokens as render_tokens
from .answer_text import drawn
from .blind import BEST, NONE, TIE, candidates
from .render import colour, labels
from .state import Column, Shown, answers_in, markable
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
    across = -(-count // -(-count // ACROSS))  # as many in each line
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
    theirs = _answers_of_reference(shown, column)
    for turn in (turn for turn in column.asked if turn.role != "system"):
        if turn.role == "user":
            drawn += f'<p class="asked" title="{escape(turn.content)}">{escape(turn.content)}</p>'
        else:
            differs = _differs(turn.content, theirs[answers] if answers < len(theirs) else turn.content)
            drawn += _clipped(_text(shown, turn.content, differs), f"{at}-{answers}", f"{LESS} earlier")
            drawn += f'<div class="marking">{_marks(shown, column, at, answers)}</div>'
            answers += 1
    return drawn


def _text(shown: Shown, text: str, differs: int | None) -> str:
    html = drawn(text, shown.view.raw, differs, _difference(shown, text, differs))
    return f'<div class="answer earlier">{html}</div>'


def _answers_of_reference(shown: Shown, column: Column) -> list[str]:
    """Its earlier answers, turn by turn, to compare those of a column with; none before the end."""
    reference = find([other.known for other in shown.columns], shown.reference)
    if shown.running or shown.blind or reference is None or reference is column.known:
        return []
    return [turn.content for turn in reference.turns if turn.role == "assistant"]


def _differs(answer: str, theirs: str) -> int | None:
    return None if answer == theirs or not answer or not theirs else agreeing_prefix(theirs, answer)


def _difference(shown: Shown, answer: str, differs: int | None) -> str:
    """What the mark at the first difference means."""
    if differs is None:
        return ""
    who = shown.reference or say("the reference")
    if differs < len(answer):
        return say("From here on it differs from the answer of {variant}", variant=who)
    return say("It ends before the answer of {variant}", variant=who)


def _clipped(html: str, key: str, kind: str = CLIP) -> str:
    """With a button for the rest, which the page shows where there is more."""
    more = escape(say("more"))
    less = escape(say("less"))
    return (
        f'<div class="{kind}" data-key="{key}">{html}</div><button type="button" class="more" data-more="{more}" '
        f'data-less="{less}" hidden>{more}</button>'
    )


def _thought(shown: Shown, column: Column, at: int) -> str:
    """What was thought before the answer, in its place: open while it streams, folded after, hidden from a vote."""
    known = column.known
    if shown.blind or known.usage is None or not known.thought:
        return ""
    live = shown.running and not known.answer and known.usage.finish is None
    inside, title = f'<div class="thought">{escape(known.thought)}</div>', render.thought(known.usage)
    return _opened(title, inside, f"{'thinking' if live else 'thought'}-{at}", " data-live" * live)


def _answer(shown: Shown, column: Column, at: int) -> str:
    known = column.known
    if shown.blind and shown.running:  # who comes first, and how fast, would tell which one it is
        return _clipped('<div class="answer"></div>', f"{at}-last")
    error = known.error and (say("Why it gave no answer is said after the vote.") if shown.blind else say(known.error))
    if error and not known.answer:
        failed = f'<p class="status error">{escape(error)}</p>'
        return _clipped(f'<div class="answer">{_thought(shown, column, at)}{failed}</div>', f"{at}-last")
    differs = None if shown.blind else known.parts_at_character
    if known.parts_in is not None and not shown.blind:  # that of the earliest prompt is marked at its own answer
        reference = find([other.known for other in shown.columns], shown.reference)
        differs = _differs(known.answer, reference.answer) if reference else None
    loops = None if shown.running else repeats_from(known.answer)
    title = _difference(shown, known.answer, differs)
    loop = say("repeats itself from here")
    html = drawn(known.answer, shown.view.raw, differs, title, loops, loop)
    failed = f'<p class="status error">{escape(error)}</p>' if error else ""
    return _clipped(f'<div class="answer">{_thought(shown, column, at)}{html}{failed}</div>', f"{at}-last")


def _status(shown: Shown, column: Column) -> str:
    known, step = column.known, column.progress
    usage = known.usage or Usage()
    if shown.blind and shown.running:
        return render.said(say("Shown when all have answered"))
    if column.problem:
        problem = f"{say(column.problem)} {say('This is its earlier answer.')}"
        return f'<div class="status error" role="alert">{escape(problem)}</div>'
    if known.error:
        return render.said(say("Failed"))
    if shown.blind:
        return render.said(say("Answered") if usage.finish else say("Stopped before its turn"))
    if step is not None:
        return render.progress(replace(step, detail=""))
    if not usage.new_tokens and not known.answer:
        waiting = say("Waits for its turn") if shown.running else say("Stopped before its turn")
        return render.said(say("No answer") if usage.finish else waiting)
    end = f" · {say(ending(usage))}" if usage.finish else ""
    return render.said(render.counted(usage.new_tokens) + end)


def _marking(shown: Shown, column: Column, at: int) -> str:
    """For the answer of now, once it is whole."""
    turn = answers_in(column.asked)
    return _marks(shown, column, at, turn) if turn in _markable(shown, at) and not column.known.error else ""


def _marks(shown: Shown, column: Column, at: int, turn: int) -> str:
    """Two buttons, of which one, or none, is pressed."""
    said = column.known.marks[turn] if turn < len(column.known.marks) else ""
    off = "" if turn in _markable(shown, at) else " disabled"
    ways = (("right", say("Right")), ("wrong", say("Wrong")))
    return "".join(_button(f"{way}-{at}-{turn}", words, said == way, f"mark {way}", off) for way, words in ways)


def _markable(shown: Shown, at: int) -> range:
    return markable(shown, shown.places[at])


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
        rows = (*known.earlier, Asked(known.prompt, known.tokens))  # the last thought stands above its answer
        for number, row in enumerate(rows, 1):
            of = " · " + say("prompt {number}", number=number) if len(rows) > 1 else ""
            key = f"{place}-{number}"
            if row.thought:
                inside += _opened(
                    say("Thought") + of, f'<div class="thought">{escape(row.thought)}</div>', f"was-{key}"
                )
            if row.tokens:
                inside += _opened(say("Token by token") + of, render_tokens.tokens(row.tokens), f"tokens-{key}")
            if row.prompt:
                inside += _opened(say("Prompt sent") + of, f"<pre>\n{escape(row.prompt)}</pre>", f"prompt-{key}")
    return _opened(say("Details"), inside, f"details-{place}")


def _opened(name: str, inside: str, key: str, more: str = "") -> str:
    return f'<details class="quiet" data-key="{key}"{more}><summary>{escape(name)}</summary>{inside}</details>'


def _actions(shown: Shown, at: int) -> str:
    if shown.comparison is None or shown.blind:
        return ""
    alone, remedy = ' data-event="retry"', shown.columns[shown.places[at]].known.remedy
    actions = _button(f"again-{at}", say("Run again"), more=alone)
    if (instead := remedy.instead) and find([column.known for column in shown.columns], instead) is None:
        actions += _button(f"instead-{at}", render.without_gpu(instead), more=alone)
    actions += render.place_for(remedy)
    return actions + (_button(f"remove-{at}", say("Remove")) if len(shown.columns) > 1 else "")


def _vote(shown: Shown) -> str:
    if shown.comparison is None or not shown.blind:
        return ""
    letters = [shown.letters[place] for place in candidates(shown)]
    buttons = [(BEST + letter, say("{letter} is best", letter=letter)) for letter in letters]
    buttons += [(TIE, say("Equally good")), (NONE, say("None is good"))]
    drawn = "".join(_button(press, words) for press, words in buttons)
    title, asked = escape(say("Your vote")), escape(say("Which answer is best?"))
    return f'<div class="vote" role="group" aria-label="{title}"><b>{asked}</b>{drawn}</div>'
