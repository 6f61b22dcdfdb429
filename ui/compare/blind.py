"""A blind vote: in which order columns stand, what they are called meanwhile, and what a press means."""

from __future__ import annotations

import random
from dataclasses import replace

from models.domain.errors import BadComparison, PaddockError
from models.domain.results.comparison import Compared
from models.domain.results.ranking import Ranked, Vote, rank, votes_from_json, votes_to_json

from .state import Shown, has_answer

BEST, TIE, NONE = "best-", "tie", "none"
NO_COLUMN = -1  # what was voted where no column is the best


def shuffled(count: int) -> tuple[int, ...]:
    """The places of so many columns in an order that nobody can guess."""
    return tuple(random.SystemRandom().sample(range(count), count))


def order(earlier: Shown, columns: int) -> tuple[int, ...]:
    """Shuffled anew; but a follow-up before the vote is more of the same conversations, which keep their letters."""
    return earlier.order if earlier.blind else shuffled(columns)


def candidates(shown: Shown) -> list[int]:
    """The columns that can be voted for, as they stand."""
    return [place for place in shown.places if has_answer(shown.columns[place].known)]


def is_vote(pressed: str) -> bool:
    """Whether a press is one of the buttons of a vote."""
    return pressed in (TIE, NONE) or pressed.startswith(BEST)


def read_vote(shown: Shown, pressed: str) -> tuple[Shown, Vote]:
    """What is shown after a press of one of the buttons, and the vote; raises BadComparison."""
    places = candidates(shown)
    if not shown.blind or shown.comparison is None or len(places) < 2:
        raise BadComparison(reason="there is nothing to vote on")
    names = {place: name_of(shown.columns[place].known) for place in places}
    if pressed in (TIE, NONE):
        return replace(shown, voted=NO_COLUMN), Vote(tuple(names.values()), tie=pressed == TIE)
    best = next((place for place, letter in shown.letters.items() if pressed == BEST + letter), None)
    if best not in names:
        raise BadComparison(reason="there is no such answer")
    return replace(shown, voted=best), Vote(tuple(names.values()), names[best])


def name_of(column: Compared) -> str:
    """The variant as votes name it: with the mode that really ran, where that is known."""
    return column.resolved or column.variant


def added(kept: object, vote: Vote) -> str:
    """The votes that a browser keeps, with one more."""
    return votes_to_json([*restored(kept), vote])


def restored(kept: object) -> tuple[Vote, ...]:
    """The votes that a browser kept; none if they cannot be read."""
    try:
        return votes_from_json(kept) if isinstance(kept, str) and kept else ()
    except PaddockError:
        return ()


def ranked(kept: object) -> tuple[Ranked, ...]:
    """The ranking of the kept votes; raises BadComparison where they name too many variants."""
    return rank(restored(kept))
