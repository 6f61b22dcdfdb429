"""Votes make a ranking: finite, fair, and as sure as there are votes."""

import json
import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.errors import BadComparison
from models.domain.results.ranking import MOST_RANKED, MOST_VOTES, Vote, rank, votes_from_json, votes_to_json

AB = ("a", "b")


def scores(votes):
    return {row.variant: row.score for row in rank(votes)}


def test_two_variants_as_solved_by_hand():
    """3 to 1 with half a vote each from the prior: p = 3.5 / 5, information 5 p (1 - p)."""
    first, second = rank([*[Vote(AB, "a")] * 3, Vote(AB, "b")])
    half = 200 * math.log10(7 / 3)
    reach = 400 / math.log(10) * 1.959964 / 2 / math.sqrt(5 * 0.7 * 0.3)
    assert (first.variant, first.votes, first.wins) == ("a", 4, 3)
    assert (second.variant, second.votes, second.wins) == ("b", 4, 1)
    assert (first.score, second.score) == pytest.approx((1000 + half, 1000 - half))
    assert (first.low, first.high) == pytest.approx((first.score - reach, first.score + reach))


def test_picks_among_three_as_solved_by_hand():
    """All shown together: strengths are in proportion to wins, each with half a vote more."""
    shown = ("a", "b", "c")
    found = scores([*[Vote(shown, "a")] * 4, *[Vote(shown, "b")] * 2, Vote(shown, "c")])
    for one, two, share in (("a", "b", 4.5 / 2.5), ("b", "c", 2.5 / 1.5)):
        assert found[one] - found[two] == pytest.approx(400 * math.log10(share))
    assert sum(found.values()) / 3 == pytest.approx(1000)


def test_a_tie_is_a_vote_divided():
    assert scores([Vote(AB, tie=True)] * 4) == pytest.approx({"a": 1000, "b": 1000})
    assert scores([Vote(AB, tie=True)] * 2 + [Vote(AB, "a")] * 4) == pytest.approx(
        scores([Vote(AB, "a")] * 5 + [Vote(AB, "b")])
    )


def test_none_is_good_says_nothing_of_who_is_better():
    plain = rank([Vote(AB, "a")])
    also = rank([Vote(AB, "a"), Vote(AB)])
    assert [(row.score, row.low) for row in plain] == [(row.score, row.low) for row in also]
    assert [row.votes for row in also] == [2, 2]
    assert [row.score for row in rank([Vote(AB)])] == pytest.approx([1000, 1000])


def test_few_votes_are_finite_and_no_votes_are_no_ranking():
    assert rank([]) == ()
    (first, second) = rank([Vote(AB, "a")])
    assert 1000 < first.score < 1300
    assert first.low < second.high  # one vote tells nothing


VOTES = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=2, max_size=4, unique=True).flatmap(
        lambda shown: st.builds(Vote, st.just(tuple(shown)), st.sampled_from(["", *shown]))
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=50, deadline=None)
@given(VOTES, st.randoms())
def test_neither_the_order_of_votes_nor_of_the_shown_matters(votes, shuffle):
    others = [Vote(tuple(shuffle.sample(vote.shown, len(vote.shown))), vote.winner) for vote in votes]
    shuffle.shuffle(others)
    for one, two in zip(rank(votes), rank(others), strict=True):
        assert one.variant == two.variant
        assert (one.score, one.low, one.high) == pytest.approx((two.score, two.low, two.high))


@settings(max_examples=50, deadline=None)
@given(VOTES)
def test_names_do_not_matter(votes):
    other = dict(zip("abcd", "dcba", strict=True))
    swapped = [Vote(tuple(other[name] for name in vote.shown), other.get(vote.winner, "")) for vote in votes]
    mirrored = scores(swapped)
    assert {other[name]: score for name, score in scores(votes).items()} == pytest.approx(mirrored)


@settings(max_examples=50, deadline=None)
@given(VOTES)
def test_another_win_never_lowers(votes):
    winner, loser = votes[0].shown[:2]
    before, after = scores(votes), scores([*votes, Vote((winner, loser), winner)])
    assert after[winner] - after[loser] > before[winner] - before[loser]
    assert after[winner] > before[winner]
    assert all(math.isfinite(row.low) and row.low <= row.score <= row.high for row in rank(votes))


def test_intervals_shrink_with_votes():
    widths = [rank([Vote(AB, "a"), Vote(AB, "b")] * many)[0] for many in (1, 4, 16, 64)]
    spans = [row.high - row.low for row in widths]
    assert spans == sorted(spans, reverse=True)
    assert spans[2] / spans[3] == pytest.approx(2, rel=0.05)  # four times the votes, half the width


def test_groups_that_were_never_compared_are_ranked_soon_and_with_doubt():
    votes = [Vote(AB, "ab"[number % 4 == 0]) for number in range(1000)]
    votes += [Vote(("c", "d"), "cd"[number % 4 == 0]) for number in range(1000)]
    found = scores(votes)
    assert found["a"] == pytest.approx(found["c"])
    assert rank(votes)[0].high - rank(votes)[0].low > 200


def test_true_strengths_are_found_within_the_intervals():
    dice, names = random.Random(5), "abcdef"
    true = {name: 1000 + 80 * place for place, name in enumerate(names, -3)}
    mean = sum(true.values()) / len(true)
    votes = []
    for _ in range(3_000):
        shown = tuple(dice.sample(names, dice.choice((2, 3, 6))))
        votes.append(Vote(shown, dice.choices(shown, [10 ** (true[name] / 400) for name in shown])[0]))
    found = rank(votes)
    assert "".join(row.variant for row in found) == names[::-1]
    assert sum(row.low <= true[row.variant] - mean + 1000 <= row.high for row in found) >= 5


def test_the_most_votes_take_no_long_time():
    dice, names = random.Random(1), [f"m{number}" for number in range(MOST_RANKED)]
    votes = [Vote(shown, shown[0]) for shown in (tuple(dice.sample(names, 6)) for _ in range(MOST_VOTES))]
    start = time.process_time()
    assert len(rank(votes)) == MOST_RANKED
    assert time.process_time() - start < 10


def test_too_many_variants_are_refused():
    with pytest.raises(BadComparison, match="33 variants"):
        rank([Vote((f"m{number}", "x"), "x") for number in range(MOST_RANKED)])


@pytest.mark.parametrize(
    ("shown", "winner", "tie"),
    [((), "", False), (("a",), "a", False), (("a", "a"), "a", False), (AB, "c", False), (AB, "a", True)],
)
def test_a_vote_that_cannot_be(shown, winner, tie):
    with pytest.raises(BadComparison):
        Vote(shown, winner, tie)


def test_votes_come_back():
    votes = (Vote(("m@nf4", "o/n+a:0.5"), "m@nf4"), Vote(AB, tie=True), Vote(AB))
    assert votes_from_json(votes_to_json(votes)) == votes
    assert votes_from_json(votes_to_json(())) == ()
    assert len(votes_from_json(votes_to_json([*[Vote(AB, "a")] * MOST_VOTES, Vote(AB, "b")]))) == MOST_VOTES


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        "{}",
        None,
        [{"winner": ["x"]}],
        [{"shown": ["a", "b"], "winner": "c"}],
        [{"shown": ["a", "b"], "winner": None}],
        [{"shown": ["a", "b"], "tie": 1}],
        [{"shown": ["a", "../b"]}],
        [{"shown": ["a", "<b>"]}],
        [{"shown": ["a", 1]}],
        [{"shown": ["a", "b"], "more": 1}],
        [{"shown": ["a", "b"]}] * (MOST_VOTES + 1),
        [{"shown": ["x", f"m{number}"]} for number in range(MOST_RANKED)],
    ],
    ids=range(14),
)
def test_rubbish_is_refused(data):
    if isinstance(data, list):
        data = json.dumps({"format": "paddock-votes", "version": 1, "votes": data})
    with pytest.raises(BadComparison):
        votes_from_json(data)
