"""From the steps of a comparison to the columns that are shown: one pure step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from models.domain.messages import Delta, Event, Message, Progress, Rendered, Usage
from models.domain.request import CompareRequest
from models.domain.results.comparison import Compared, Comparison


@dataclass(frozen=True)
class Column:
    """One variant as of now: what it was asked, what is known, and what is being waited for."""

    known: Compared
    asked: tuple[Message, ...] = ()
    progress: Progress | None = None


@dataclass(frozen=True)
class Shown:
    """What stands on the page; `order` are the places of the columns in a blind vote, empty where names are shown.

    `comparison` is there once it is over; `voted` is the place of the column that was picked, -1 for none of them.
    """

    columns: tuple[Column, ...] = ()
    reference: str = ""
    order: tuple[int, ...] = ()
    comparison: Comparison | None = None
    stopped: bool = False
    voted: int | None = None

    @property
    def running(self) -> bool:
        return bool(self.columns) and self.comparison is None

    @property
    def blind(self) -> bool:
        """Whether names and figures are still hidden."""
        return bool(self.order) and self.voted is None

    @property
    def places(self) -> tuple[int, ...]:
        """The columns in the order in which they stand."""
        return self.order or tuple(range(len(self.columns)))


def begin(request: CompareRequest, order: tuple[int, ...] = ()) -> Shown:
    """The columns before anything happened."""
    pairs = zip(request.variants, request.histories, strict=True)
    columns = tuple(Column(Compared(str(variant)), messages) for variant, messages in pairs)
    return Shown(columns, str(request.reference or ""), order)


def advance(shown: Shown, place: int, event: Event | Compared) -> Shown:
    """The columns after one more step of the one at `place`."""
    columns = list(shown.columns)
    columns[place] = _advanced(columns[place], event)
    return replace(shown, columns=tuple(columns))


def _advanced(column: Column, event: Event | Compared) -> Column:
    known = column.known
    match event:
        case Compared():
            return replace(column, known=event, progress=None)
        case Progress():
            return replace(column, progress=event)
        case Rendered():
            return replace(column, known=replace(known, prompt=event.prompt), progress=Progress("prefill"))
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


def _over(column: Compared, comparison: Comparison) -> Column:
    asked = column.turns[:-1] or tuple(Message("user", question) for question in comparison.questions)
    return Column(column, asked)


def has_answer(column: Compared) -> bool:
    """Whether there is something to judge."""
    return bool(column.answer.strip()) and not column.error


def so_far(shown: Shown, request: CompareRequest) -> Comparison:
    """What there is of a comparison that was ended before its end; what was still streaming says `cancelled`."""
    return Comparison(
        questions=questions(request.histories),
        columns=tuple(map(_cut, shown.columns)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        system=next((m.content for m in request.histories[0] if m.role == "system"), ""),
        sampling=request.sampling,
        reference=shown.reference,
        text=request.text,
    )


def _cut(column: Column) -> Compared:
    known = column.known
    if not known.answer:
        return known
    usage = known.usage or Usage()
    turns = known.turns or (*column.asked, Message("assistant", known.answer))
    return replace(known, turns=turns, usage=replace(usage, finish=usage.finish or "cancelled"))


def questions(histories: Sequence[Sequence[Message]]) -> tuple[str, ...]:
    """What the visitor asked, turn by turn; a column that failed in between has fewer turns than the others."""
    asked = [tuple(turn.content for turn in history if turn.role == "user") for history in histories]
    return max(asked, key=len, default=())


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
