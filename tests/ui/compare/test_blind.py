"""A blind vote: no name before it, the right winner after it, and nothing that a browser kept breaks the page."""

import pytest

from models.domain.errors import BadComparison
from models.domain.messages import Message, Usage
from models.domain.request import CompareRequest
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.ranking import Vote, votes_to_json
from models.domain.variant import Variant
from tests.ui.markup import Markup
from ui.compare import blind
from ui.compare import columns as render_columns
from ui.compare import results as render_results
from ui.compare.state import Shown, begin, ended

NAMES = ("m@bf16", "m@nf4", "m@int8")


def column(name, **other):
    usage = Usage(name, new_tokens=5, decode_tokens_per_s=17.25, finish="stop")
    return Compared(name, name, prompt=f"prompt of {name}", answer=f"Answer {NAMES.index(name)}", usage=usage, **other)


def over(order, **failed):
    request = CompareRequest.of([Variant.parse(name) for name in NAMES], "Why?")
    columns = tuple(
        Compared(name, error=f"{name} does not fit.") if name == failed.get("name") else column(name) for name in NAMES
    )
    comparison = Comparison(("Why?",), columns, "2026-01-02T03:04:05+00:00", reference="m@bf16")
    return ended(begin(request, order), comparison)


@pytest.mark.parametrize(("pressed", "winner"), [("best-A", "m@int8"), ("best-B", "m@bf16"), ("best-C", "m@nf4")])
def test_the_letters_are_those_of_the_order(pressed, winner):
    shown, vote = blind.read_vote(over((2, 0, 1)), pressed)
    assert (vote.winner, vote.tie, set(vote.shown)) == (winner, False, set(NAMES))
    assert not shown.blind
    assert NAMES[shown.voted] == winner


def test_a_tie_and_none():
    assert blind.read_vote(over((2, 0, 1)), "tie")[1] == Vote(("m@int8", "m@bf16", "m@nf4"), tie=True)
    shown, vote = blind.read_vote(over((2, 0, 1)), "none")
    assert (vote.winner, vote.tie, shown.voted) == ("", False, blind.NO_COLUMN)


@pytest.mark.parametrize("pressed", ["", "best-", "best-D", "best-AA", "m@bf16", "x" * 500])
def test_a_forged_press_is_refused(pressed):
    with pytest.raises(BadComparison):
        blind.read_vote(over((2, 0, 1)), pressed)


def test_nobody_votes_twice_or_for_a_column_that_failed():
    shown, _ = blind.read_vote(over((2, 0, 1)), "tie")
    with pytest.raises(BadComparison):
        blind.read_vote(shown, "best-A")
    failed = over((2, 0, 1), name="m@int8")
    assert failed.letters == {0: "A", 1: "B"}  # the one that failed takes none, and stands last
    assert failed.places == (0, 1, 2)
    voted = blind.read_vote(failed, "best-B")[1]
    assert (voted.winner, voted.shown) == ("m@nf4", ("m@bf16", "m@nf4"))
    with pytest.raises(BadComparison):
        blind.read_vote(failed, "best-C")


def test_names_and_figures_are_hidden_until_the_vote():
    shown = over((2, 0, 1), name="m@nf4")
    html = render_columns.columns(shown) + render_results.results(shown, 0.05)
    for secret in ("bf16", "nf4", "int8", "17.2", "does not fit", "prompt of", "reference"):
        assert secret not in html
    assert render_results.pictures(shown) == ""
    assert Markup(render_columns.columns(shown)).values("data-press")[-4:] == ["best-A", "best-B", "tie", "none"]
    told, _ = blind.read_vote(shown, "best-A")
    html = render_columns.columns(told)
    assert "A: int8" in html
    assert "your pick" in html
    assert not any(blind.is_vote(press) for press in Markup(html).values("data-press"))
    assert "m@nf4 does not fit." in render_results.results(told, 0.05)


def test_the_order_is_any_of_all():
    assert {blind.shuffled(3) for _ in range(300)} == {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}


@pytest.mark.parametrize("kept", [None, "", "{", "[]", 7, "null", {"votes": []}])
def test_what_a_browser_kept_may_be_anything(kept):
    assert blind.restored(kept) == ()
    assert blind.ranked(kept) == ()
    vote = Vote(("a", "b"), "a")
    assert blind.restored(blind.added(kept, vote)) == (vote,)


def test_votes_add_up_to_a_ranking():
    kept = votes_to_json([Vote(("a", "b"), "a")])
    assert [row.variant for row in blind.ranked(blind.added(kept, Vote(("a", "b"), "a")))] == ["a", "b"]


def test_a_conversation_stands_in_each_column():
    turns = (
        Message("user", "One"),
        Message("assistant", "First"),
        Message("user", "Two"),
        Message("assistant", "Last"),
    )
    columns = tuple(Compared(name, name, answer="Last", turns=turns) for name in NAMES[:2])
    comparison = Comparison(("One", "Two"), columns, "2026-01-02T03:04:05+00:00")
    text = Markup(render_columns.columns(ended(begin(CompareRequest((), ())), comparison))).text
    assert text.count("First") == text.count("Two") == text.count("Last") == 2


def test_letters_stay_until_the_vote_and_are_dealt_anew_after_it():
    shown = over((2, 0, 1))
    assert {blind.order(shown, 3) for _ in range(50)} == {(2, 0, 1)}
    voted, _ = blind.read_vote(shown, "none")
    assert len({blind.order(voted, 3) for _ in range(100)}) > 1
    assert len({blind.order(Shown(), 3) for _ in range(100)}) > 1
