"""A comparison after one of its columns was marked, removed or run again."""

from __future__ import annotations

from dataclasses import replace

from ..errors import BadComparison
from .comparison import Compared, Comparison, Mark, agreeing_prefix


def mark(comparison: Comparison, place: int, turn: int, said: Mark) -> Comparison:
    """With the answer of a turn marked, or no longer where it was marked so; raises BadComparison."""
    column = _column(comparison, place)
    answers = column.answers
    if not 0 <= turn < answers:
        raise BadComparison(reason="there is no such answer")
    marks: list[Mark] = [column.marks[at] if at < len(column.marks) else "" for at in range(answers)]
    marks[turn] = "" if marks[turn] == said else said
    return _with(comparison, place, replace(column, marks=tuple(marks)))


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
        replace(column, parts_at_character=None, figures=replace(column.figures, **none))  # type: ignore[arg-type]
        for column in rest
    )
    return replace(comparison, columns=tuple(alone), reference="")


def put(comparison: Comparison, place: int, column: Compared) -> Comparison:
    """With a column that was run again; what its figures lack is kept of the earlier run. Raises BadComparison.

    What quality is of a variant does not change from one run to the next.
    """
    before = _column(comparison, place)
    if not column.error:
        names = ("agreement", "divergence", "divergence_at_least", "parts_at", "reference")
        kept = {name: getattr(before.figures, name) for name in names}
        lacking = {name: value for name, value in kept.items() if not getattr(column.figures, name)}
        column = replace(column, figures=replace(column.figures, **lacking))
    whole = _with(comparison, place, column)
    reference = whole.reference_column
    if reference is None or reference.error or not reference.answer:
        return whole
    return replace(whole, columns=tuple(_apart(one, reference) for one in whole.columns))


def _apart(column: Compared, reference: Compared) -> Compared:
    """Compared anew with the answer of the reference."""
    if column is reference or column.error:
        return column
    same = column.answer == reference.answer
    return replace(column, parts_at_character=None if same else agreeing_prefix(reference.answer, column.answer))


def _with(comparison: Comparison, place: int, column: Compared) -> Comparison:
    columns = list(comparison.columns)
    columns[place] = column
    return replace(comparison, columns=tuple(columns))


def _column(comparison: Comparison, place: int) -> Compared:
    if not 0 <= place < len(comparison.columns):
        raise BadComparison(reason="there is no such column")
    return comparison.columns[place]
