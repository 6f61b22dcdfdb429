"""A comparison after one of its columns was marked, removed or run again."""

from __future__ import annotations

from dataclasses import replace

from ..errors import BadComparison
from .comparison import Compared, Comparison, Mark, parted

RUN_ALONE = "run again alone: not compared with the reference anew"


def mark(comparison: Comparison, place: int, turn: int, said: Mark) -> Comparison:
    """With the answer of a turn marked, or no longer where it was marked so; raises BadComparison."""
    column = _column(comparison, place)
    return _with(comparison, place, marked(column, turn, said, column.answers))


def marked(column: Compared, turn: int, said: Mark, answers: int) -> Compared:
    """The same of a column by itself, which gave so many `answers`; raises BadComparison."""
    if not 0 <= turn < answers:
        raise BadComparison(reason="there is no such answer")
    marks: list[Mark] = [column.marks[at] if at < len(column.marks) else "" for at in range(answers)]
    marks[turn] = "" if marks[turn] == said else said
    return replace(column, marks=tuple(marks))


def remove(comparison: Comparison, place: int) -> Comparison:
    """Without a column; without the reference, nothing is compared with it any more. Raises BadComparison."""
    gone = _column(comparison, place)
    rest = tuple(column for at, column in enumerate(comparison.columns) if at != place)
    if not rest:
        raise BadComparison(reason="it would be empty")
    if comparison.reference_column is not gone:
        return replace(comparison, columns=rest)
    none = {"agreement": None, "divergence": None, "parts_at": None}
    alone = (
        replace(column, parts_at_character=None, parts_in=None, figures=replace(column.figures, **none))  # type: ignore[arg-type]
        for column in rest
    )
    return replace(comparison, columns=tuple(alone), reference="")


def put(comparison: Comparison, place: int, column: Compared) -> Comparison:
    """With a column that was run again, all of its figures new; raises BadComparison.

    Run alone, it was compared with no other, which is noted. Where it is the reference, others no longer part from the
    answer that it gave before.
    """
    before = _column(comparison, place)
    reference = comparison.reference_column
    is_reference = reference is before
    figures = replace(column.figures, reference=is_reference)
    alike = reference is not None and reference.tokenizer == column.tokenizer
    if alike and not is_reference and figures.perplexity is not None and figures.divergence is None:
        figures = replace(figures, note="; ".join(filter(None, (figures.note, RUN_ALONE))))
    whole = _with(comparison, place, replace(column, figures=figures))
    if is_reference:
        stale = (replace(one, figures=replace(one.figures, parts_at=None, answer_tokens=0)) for one in whole.columns)
        whole = replace(whole, columns=tuple(stale))
    reference = whole.reference_column
    if reference is None or reference.error or not reference.answer:
        return whole
    return replace(whole, columns=tuple(_apart(one, reference, whole.independent) for one in whole.columns))


def _apart(column: Compared, reference: Compared, independent: bool) -> Compared:
    """Compared anew with the answers of the reference."""
    return column if column is reference or column.error else parted(column, reference, independent)


def _with(comparison: Comparison, place: int, column: Compared) -> Comparison:
    columns = list(comparison.columns)
    columns[place] = column
    return replace(comparison, columns=tuple(columns))


def _column(comparison: Comparison, place: int) -> Compared:
    if not 0 <= place < len(comparison.columns):
        raise BadComparison(reason="there is no such column")
    return comparison.columns[place]
