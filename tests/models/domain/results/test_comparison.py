"""What was compared: checked at birth, and told where answers differ first."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import BadComparison, BadSpelling, ModelIsAPath
from models.domain.results.comparison import Compared, Comparison, TokenView, agreeing_prefix
from models.domain.results.measured import Measured

from .sample import COMPARISON, FULL, USAGE, WHEN


def test_a_probability_is_rounded_and_checked():
    assert TokenView("a", 1 + 1e-12).probability == 1
    assert TokenView("a", 0.123456789, (("b", 1e-9),)) == TokenView("a", 0.123457, (("b", 0.0),))
    for wrong in (1.1, -0.1, math.nan, math.inf, None, "1"):
        with pytest.raises(BadComparison):
            TokenView("a", wrong)
        with pytest.raises(BadComparison):
            TokenView("a", 0.5, (("b", wrong),))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Compared(""), BadSpelling),
        (lambda: Compared("m", "m@"), BadSpelling),
        (lambda: Compared("/etc/passwd"), ModelIsAPath),
        (lambda: Compared("m", kind="chat"), BadComparison),
        (lambda: Compared("m", answer="ab", parts_at_character=3), BadComparison),
        (lambda: Comparison((), (FULL,) * 17, WHEN), BadComparison),
        (lambda: Comparison((), (), "2026"), BadComparison),
        (lambda: Comparison((), (), WHEN, machine={"a": object()}), BadComparison),
        (lambda: Comparison((), (), WHEN, machine={"a": math.nan}), BadComparison),
        (lambda: Comparison((), (), WHEN, versions={"torch": 2}), BadComparison),
    ],
)
def test_what_cannot_be_is_not_born(make, error):
    with pytest.raises(error):
        make()


def test_a_figure_that_is_not_finite_is_none():
    column = Compared("m", figures=Measured("m", perplexity=math.inf, bits_per_byte=math.nan, load_s=1.0))
    assert (column.figures.perplexity, column.figures.bits_per_byte, column.figures.load_s) == (None, None, 1.0)


def test_the_usage_fills_what_the_figures_lack():
    column = Compared("m", usage=USAGE, figures=Measured("m", load_s=9.0, perplexity=3.0))
    known = column.known
    assert (known.load_s, known.ttft_s, known.decode_tokens_per_s) == (9.0, 0.2, 17.0)
    assert (known.peak_bytes, known.perplexity) == (800_000_000, 3.0)
    assert Compared("m").known == Measured("")


def test_the_reference_is_found_by_either_spelling():
    assert COMPARISON.reference_column is FULL
    assert replace(COMPARISON, reference="m@bf16").reference_column is FULL
    assert replace(COMPARISON, reference="").reference_column is None
    assert replace(COMPARISON, reference="x").reference_column is None


@pytest.mark.parametrize(
    ("reference", "other", "common"),
    [
        ("", "", ""),
        ("the cat", "the cat", "the cat"),
        ("the cat", "the car", "the "),
        ("the cat", "the cats", "the "),
        ("the cats", "the cat", "the "),
        ("the cat.", "the cat", "the cat"),
        ("the cat", "the cat, it", "the cat"),
        ("it's", "it’s", ""),
        ("it's", "it", ""),
        ("The", "the", ""),
        ("a\n\nb", "a\n\nc", "a\n\n"),
        ("snake_case", "snake_test", ""),
        ("cafe\u0301 au", "cafe au", ""),
        ("很高兴见", "很高兴去", "很高兴"),
        ("x 👍🏽", "x 👍🏿", "x "),
        ("x 👩\u200d🚀", "x 👩\u200d🔬", "x "),
        ("3.14", "3.15", "3."),
    ],
)
def test_the_common_beginning_ends_at_a_word(reference, other, common):
    assert agreeing_prefix(reference, other) == len(common)


@given(st.text(alphabet="ab '.\n\u0301很👍", max_size=12), st.text(alphabet="ab '.\n\u0301很👍", max_size=12))
def test_it_is_common_and_symmetric(one, two):
    place = agreeing_prefix(one, two)
    assert one[:place] == two[:place]
    assert place == agreeing_prefix(two, one)
    assert agreeing_prefix(one, one) == len(one)
