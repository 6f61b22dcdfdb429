"""A comparison after one of its columns was marked, removed or run again."""

from dataclasses import replace

import pytest

from models.domain.errors import BadComparison
from models.domain.messages import Message
from models.domain.results import edits
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.file import from_json, to_json
from models.domain.results.measured import Measured


def column(name, answer, **figures):
    turns = (Message("user", "Why?"), Message("assistant", answer))
    return Compared(name, name, turns=turns, answer=answer, figures=Measured(name, **figures))


BF16 = column("m@bf16", "Because of it.", perplexity=12.0)
NF4 = replace(column("m@nf4", "Because so.", perplexity=12.5, agreement=0.9, divergence=0.02), parts_at_character=8)
WHOLE = Comparison(("Why?",), (BF16, NF4), "2026-01-02T03:04:05+00:00", reference="m@bf16")


def test_a_mark_is_set_changed_and_taken_back_and_stands_in_the_file():
    right = edits.mark(WHOLE, 1, 0, "right")
    assert [one.right for one in right.columns] == [0, 1]
    assert from_json(to_json(right)) == right
    wrong = edits.mark(right, 1, 0, "wrong")
    assert (wrong.columns[1].right, wrong.columns[1].wrong) == (0, 1)
    assert edits.mark(wrong, 1, 0, "wrong").columns[1].wrong == 0


def test_each_answer_of_a_conversation_has_its_own_mark():
    turns = (*NF4.turns, Message("user", "And?"), Message("assistant", "So."))
    long = replace(WHOLE, columns=(BF16, replace(NF4, turns=turns, answer="So.", parts_at_character=None)))
    marked = edits.mark(edits.mark(long, 1, 1, "right"), 1, 0, "wrong")
    assert marked.columns[1].marks == ("wrong", "right")


@pytest.mark.parametrize(("place", "turn"), [(2, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_mark_of_nothing_is_refused(place, turn):
    with pytest.raises(BadComparison):
        edits.mark(WHOLE, place, turn, "right")


def test_removed():
    assert edits.remove(WHOLE, 1).columns == (BF16,)
    alone = edits.remove(WHOLE, 0)
    (left,) = alone.columns
    assert (alone.reference, left.parts_at_character, left.figures.divergence) == ("", None, None)
    assert left.figures.perplexity == 12.5
    with pytest.raises(BadComparison):
        edits.remove(alone, 0)


def test_a_column_that_was_run_again_has_no_figure_of_its_earlier_answer():
    new = column("m@nf4", "Because of us.", perplexity=12.5, decode_tokens_per_s=30.0)
    again = edits.put(WHOLE, 1, new).columns[1]
    assert (again.answer, again.figures.divergence, again.figures.decode_tokens_per_s) == ("Because of us.", None, 30.0)
    assert (again.parts_at_character, again.figures.note) == (11, edits.RUN_ALONE)
    twice = edits.put(edits.put(WHOLE, 1, new), 1, new).columns[1]
    assert (twice.figures.divergence, twice.figures.note) == (None, edits.RUN_ALONE)
    failed = edits.put(WHOLE, 1, Compared("m@nf4", error="It broke.")).columns[1]
    assert (failed.error, failed.figures.divergence) == ("It broke.", None)


def test_a_reference_that_was_run_again_is_compared_anew():
    again = edits.put(WHOLE, 0, column("m@bf16", "Because so.", perplexity=12.0))
    other = again.columns[1]
    assert (other.parts_at_character, other.figures.parts_at, other.figures.divergence) == (None, None, 0.02)
    assert again.columns[0].figures.reference
