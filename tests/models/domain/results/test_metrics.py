"""The formulas, on numbers that can be checked by hand."""

import math

import pytest

from models.domain.messages import Scored
from models.domain.results.metrics import bits_per_byte, mean, parting, perplexity, share, summary

HALVES = (math.log(0.5),) * 4


def test_perplexity_is_the_number_of_equally_likely_tokens():
    assert perplexity(HALVES) == pytest.approx(2)
    assert perplexity([math.log(1 / 49_152)] * 3) == pytest.approx(49_152)
    assert perplexity([0.0]) == 1


def test_bits_per_byte():
    assert bits_per_byte(HALVES, 8) == pytest.approx(0.5), "four tokens of one bit each, over eight bytes"


def test_share_and_mean():
    assert share([True, False, False, True]) == 0.5
    assert mean([1.0, 2.0, 6.0]) == 3.0


@pytest.mark.parametrize(
    ("own", "other", "start", "place"),
    [
        ([1, 1, 1, 1], [1, 1, 1, 1], 1, None),
        ([1, 1, 1, 1], [1, 1, 0, 1], 1, 2),
        ([1, 1, 1, 1], [0, 1, 0, 1], 2, 1),  # what stands before the answer does not count
        ([1, 1, 0, 1], [1, 1, 0, 1], 1, None),  # the reference itself would not take it: tokenized anew
        ([1, 1, 0, 1], [1, 1, 0, 0], 1, 3),
    ],
)
def test_where_greedy_answers_part(own, other, start, place):
    """`start` counts tokens of the prompt; the first entry is that of the second token."""
    scored = [Scored(likeliest=tuple(map(bool, flags)), offset=1) for flags in (own, other)]
    assert parting(*scored, start) == place


def test_summary_is_what_programs_get():
    found = summary(Scored("m@nf4", ("a", "b"), HALVES[:2], bytes=2, offset=1))
    assert found == {
        "variant": "m@nf4",
        "tokens": ["a", "b"],
        "log_probabilities": list(HALVES[:2]),
        "perplexity": pytest.approx(2),
        "bits_per_byte": pytest.approx(1),
        "bytes": 2,
    }
