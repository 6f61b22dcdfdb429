"""From the steps of a comparison to the columns that are shown: one pure step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from models.domain.errors import BadComparison
from models.domain.messages import Delta, Event, Message, Progress, Rendered, Thought, Usage
from models.domain.request import CompareRequest
from models.domain.results import edits
from models.domain.results.comparison import Compared, Comparison
from models.domain.variant import Variant

LETTERS = "ABCDEFGHIJKLMNOP"


@dataclass(frozen=True)
class Need:
    """Bytes that must be free for a variant, and whether the chosen hardware has them."""

    bytes: int
    fits: bool
    tight: bool = False


@dataclass(frozen=True)
class Column:
    """One variant as of now: what it was asked, what is known, what it needs, and what is being waited for.

    `problem` says why it could not be run again, and that it shows its earlier answer.
    """

    known: Compared
    asked: tuple[Message, ...] = ()
    progress: Progress | None = None
    need: Need | None = None
    problem: str = ""


@dataclass(frozen=True)
class View:
    """How it is shown: answers as they were written, all figures in the table, by which of them it is sorted."""

    raw: bool = False
    all_figures: bool = False
    sorted_by: str = ""
    descending: bool = False


@dataclass(frozen=True)
class Shown:
    """What stands on the page; `order` are the places of the columns in a blind vote, empty where names are shown.

    `comparison` is there once it is over; `voted` is the place of the column that was picked, -1 for none of them.
    `before` is what stood there before a column was removed.
    """

    columns: tuple[Column, ...] = ()
    reference: str = ""
    order: tuple[int, ...] = ()
    comparison: Comparison | None = None
    stopped: bool = False
    interrupted: bool = False  # its page was closed before it was over
    voted: int | None = None
    view: View = View()
    hardware: str = ""  # what the columns' needs are planned for; empty is this machine
    before: Shown | None = None

    @property
    def running(self) -> bool:
        return bool(self.columns) and self.comparison is None

    @property
    def blind(self) -> bool:
        """Whether names and figures are still hidden."""
        return bool(self.order) and self.voted is None

    @property
    def places(self) -> tuple[int, ...]:
        """The columns in the order in which they stand; in a blind vote, those that failed come last."""
        if not self.order:
            return tuple(range(len(self.columns)))
        return tuple(sorted(self.order, key=lambda place: bool(self.columns[place].known.error)))

    @property
    def letters(self) -> dict[int, str]:
        """What the columns of a blind vote are called, by their places; one that failed has no letter."""
        sound = (place for place in self.places if not self.columns[place].known.error)
        return dict(zip(sound, LETTERS, strict=False)) if self.order else {}


def begin(request: CompareRequest, order: tuple[int, ...] = (), earlier: Shown | None = None) -> Shown:
    """The columns before anything happened; those of a follow-up keep the marks of their `earlier` answers."""
    pairs = zip(request.variants, request.histories, strict=True)
    columns = tuple(Column(Compared(str(variant)), messages) for variant, messages in pairs)
    earlier = earlier or Shown()
    shown = Shown(columns, str(request.reference or ""), order, view=earlier.view)
    if earlier.comparison is None:
        return shown
    marked = (
        replace(new, known=replace(new.known, marks=old.known.marks))
        for new, old in zip(columns, earlier.columns, strict=True)
    )
    return replace(shown, columns=tuple(marked))


def again(shown: Shown, place: int) -> Shown:
    """The columns while the one at `place` is run again."""
    columns = list(shown.columns)
    old = columns[place]
    columns[place] = Column(
        Compared(old.known.variant, marks=old.known.marks[: max(0, old.known.answers - 1)]), old.asked
    )
    columns[place] = replace(columns[place], need=old.need)
    return replace(shown, columns=tuple(columns), comparison=None, before=None)


def marked_as(shown: Shown, other: Shown, but: int) -> Shown:
    """With the marks that the columns have in another state, `but` one."""
    if shown.comparison is None:
        return shown
    pairs = enumerate(zip(shown.comparison.columns, other.columns, strict=True))
    columns = (one if at == but else replace(one, marks=now.known.marks) for at, (one, now) in pairs)
    return changed(shown, replace(shown.comparison, columns=tuple(columns)))


def failed_again(shown: Shown, place: int, problem: str) -> Shown:
    """The columns as they were before one could not be run again, and why."""
    columns = list(shown.columns)
    columns[place] = replace(columns[place], problem=problem)
    return replace(shown, columns=tuple(columns))


def advance(shown: Shown, place: int, event: Event | Compared) -> Shown:
    """The columns after one more step of the one at `place`."""
    columns = list(shown.columns)
    columns[place] = _advanced(columns[place], event)
    return replace(shown, columns=tuple(columns))


def _advanced(column: Column, event: Event | Compared) -> Column:
    known = column.known
    match event:
        case Compared():
            known = replace(event, marks=known.marks) if known.marks else event
            asks = bool(event.turns) and event.turns[-1].role == "user"  # the next of several prompts
            return replace(column, known=known, progress=None, asked=event.turns if asks else column.asked)
        case Progress():
            return replace(column, progress=event)
        case Rendered():
            return replace(column, known=replace(known, prompt=event.prompt), progress=Progress("prefill"))
        case Thought():
            thinking = Progress("think", event.usage.thought_tokens, unit="tokens")
            known = replace(known, usage=event.usage, thought=known.thought + event.text)
            return replace(column, known=known, progress=thinking)
        case Delta():
            known = replace(known, answer=known.answer + event.text, usage=event.usage)
            return replace(column, known=known, progress=None)
    return column


def ended(shown: Shown, comparison: Comparison, stopped: bool = False) -> Shown:
    """The columns of a comparison that is over; too few answers to vote on, and names are shown at once."""
    columns = tuple(_over(column, comparison) for column in comparison.columns)
    order = shown.order if sum(has_answer(column.known) for column in columns) > 1 else ()
    return replace(
        shown, columns=columns, reference=comparison.reference, order=order, comparison=comparison, stopped=stopped
    )


def ended_run(shown: Shown, comparison: Comparison, stopped: bool = False) -> Shown:
    """The same of a run: its columns keep the marks and the needs that they had."""
    pairs = zip(comparison.columns, shown.columns, strict=True)
    marked = tuple(replace(new, marks=old.known.marks) for new, old in pairs)
    over = ended(shown, replace(comparison, columns=marked), stopped)
    return with_needs(over, [column.need for column in shown.columns])


def with_needs(shown: Shown, needs: Sequence[Need | None]) -> Shown:
    """What each column needs on the chosen hardware."""
    pairs = zip(shown.columns, needs, strict=True)
    return replace(shown, columns=tuple(replace(column, need=need) for column, need in pairs))


def changed(shown: Shown, comparison: Comparison) -> Shown:
    """What is shown once columns were marked or replaced; each keeps what it needs."""
    over = ended(shown, comparison, shown.stopped)
    open_ends = any(usage is None or usage.finish == "cancelled" for usage in (one.usage for one in comparison.columns))
    over = replace(over, interrupted=shown.interrupted and open_ends)
    return with_needs(over, [column.need for column in shown.columns])


def _over(column: Compared, comparison: Comparison) -> Column:
    asked = column.turns[:-1] or tuple(Message("user", question) for question in comparison.questions)
    return Column(column, asked)


def has_answer(column: Compared) -> bool:
    """Whether there is something to judge."""
    return bool(column.answer.strip()) and not column.error


def markable(shown: Shown, place: int) -> range:
    """The answers of a column, by turn, that can be marked: those that are whole."""
    column = shown.columns[place]
    if not shown.running:
        return range(column.known.answers)
    return range(0 if shown.blind else answers_in(column.known.turns or column.asked))


def answers_in(turns: Sequence[Message]) -> int:
    """How many of the turns are answers."""
    return sum(turn.role == "assistant" for turn in turns)


def so_far(shown: Shown, request: CompareRequest) -> Comparison:
    """What there is of a comparison that was ended before its end; what was still streaming says `cancelled`."""
    return Comparison(
        questions=questions(request),
        columns=tuple(map(_cut, shown.columns)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        system=next((m.content for m in request.histories[0] if m.role == "system"), ""),
        sampling=request.sampling,
        thinking=request.thinking,
        reference=shown.reference,
        text=request.text,
        independent=bool(request.further),
    )


def _cut(column: Column) -> Compared:
    known = column.known
    if not known.answer and len(known.turns) > 1:  # a later one of several prompts was asked: what there was before
        return replace(known, turns=known.turns[:-1], answer=known.turns[-2].content)
    if not known.answer:
        return known
    usage = known.usage or Usage()
    turns = known.turns or column.asked
    turns = turns if turns[-1:] and turns[-1].role == "assistant" else (*turns, Message("assistant", known.answer))
    return replace(known, turns=turns, usage=replace(usage, finish=usage.finish or "cancelled"))


def without_gpu(shown: Shown, place: int) -> Shown:
    """With the variant that needs no GPU in place of one that was given none; raises BadComparison."""
    whole, known = shown.comparison, shown.columns[place].known
    if whole is None or not (instead := known.remedy.instead):
        raise BadComparison(reason="no other variant is known for it")
    other = replace(known, variant=instead, resolved="")
    reference = instead if whole.reference_column is known else whole.reference
    taken = edits.put(replace(whole, reference=reference), place, other)
    return replace(changed(shown, taken), reference=reference)


def request_again(shown: Shown, place: int) -> CompareRequest:
    """What the column at `place` was asked, for itself; raises BadComparison."""
    whole, column = shown.comparison, shown.columns[place]
    if whole is None or shown.blind:
        raise BadComparison(reason="it has not ended")
    opening = (Message("system", whole.system),) if whole.system.strip() else ()
    asked = column.asked if any(turn.role == "system" for turn in column.asked) else (*opening, *column.asked)
    variant = Variant.parse(column.known.variant)
    rivals = max((len(token.alternatives) for one in whole.columns for token in one.all_tokens), default=0)
    reference = variant if whole.reference_column is column.known else None
    further = whole.questions[1:] if whole.independent else ()
    asked = (*opening, Message("user", whole.questions[0])) if whole.independent else asked
    more: dict[str, Any] = {"reference": reference, "text": whole.text, "rivals": rivals, "further": further}
    return CompareRequest((variant,), (asked,), whole.sampling, thinking=whole.thinking, **more)


def questions(request: CompareRequest) -> tuple[str, ...]:
    """What the visitor asked, turn by turn; a column that failed in between has fewer turns than the others."""
    asked = [tuple(turn.content for turn in history if turn.role == "user") for history in request.histories]
    return (*max(asked, key=len, default=()), *request.further)


def histories(comparison: Comparison, question: str) -> tuple[tuple[Message, ...], ...]:
    """The next turn of each column: its own conversation and the question.

    A column without an answer gets all the questions as one, since templates want questions and answers in turn.
    """
    opening = (Message("system", comparison.system),) if comparison.system.strip() else ()
    alone = (*opening, Message("user", "\n\n".join((*comparison.questions, question))))
    return tuple(
        (*column.turns, Message("user", question)) if column.turns and column.turns[-1].role == "assistant" else alone
        for column in comparison.columns
    )
