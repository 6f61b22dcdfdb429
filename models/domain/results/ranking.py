"""Blind votes, and the ranking that they make."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..checked_json import STRICT, Spelling, Version1, at_most, read
from ..errors import BadComparison
from ..variant import Variant

FORMAT, VERSION = "paddock-votes", 1
MOST_VOTES = 10_000
MOST_SHOWN = 16  # variants in one vote
MOST_RANKED = 32  # different variants in all votes: the intervals take the inverse of a matrix of that size
LONGEST_VOTES = 5_000_000  # bytes
MEAN, SCALE = 1000.0, 400 / math.log(10)  # of Elo's scale: 400 more is ten times as likely to be picked
PRIOR = 0.5  # votes that each is given in one imagined vote among all
CONFIDENCE = 1.959964  # standard deviations of 95 %
MOST_STEPS, ENOUGH = 200, 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Vote:
    """What was picked of the variants that were shown without their names; raises BadComparison.

    `winner` is one of `shown`, or empty: with `tie` all were equally good, without it none was good.
    """

    shown: Annotated[tuple[Spelling, ...], at_most(MOST_SHOWN)]
    winner: Spelling = ""
    tie: bool = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.shown) <= MOST_SHOWN or len(set(self.shown)) < len(self.shown):
            raise BadComparison(reason=f"a vote is not among 2 to {MOST_SHOWN} different variants")
        if self.winner and (self.winner not in self.shown or self.tie):
            raise BadComparison(reason="the winner of a vote was not shown, or it was a tie")


@dataclass(frozen=True)
class Ranked:
    """A variant's place: score and its 95 % interval on Elo's scale with mean 1000, votes it was in, votes it won."""

    variant: str
    score: float
    low: float
    high: float
    votes: int
    wins: int


def rank(votes: Sequence[Vote]) -> tuple[Ranked, ...]:
    """All variants of the votes, the best first; raises BadComparison for more than `MOST_RANKED`.

    The model is that of Bradley and Terry, as Hunter (2004, "MM algorithms for generalized Bradley-Terry models")
    extends it to a pick among several: i wins with probability p_i / sum of p over those shown. A tie is a vote divided
    among them, and "none is good" says nothing of who is better. The intervals are of the observed information, which
    is exact about the same prior; resampling a handful of votes that all agree would give intervals of no width.
    """
    names = _names(votes)
    if not names:
        return ()
    place = {name: number for number, name in enumerate(names)}
    told = [vote for vote in votes if vote.winner or vote.tie]
    shown = np.zeros((len(told) + 1, len(names)))
    wins = np.full(len(names), PRIOR)
    for row, vote in zip(shown, told, strict=False):
        row[[place[name] for name in vote.shown]] = 1
        wins += row / row.sum() if vote.tie else np.eye(len(names))[place[vote.winner]]
    shown[-1] = 1
    counts = np.append(np.ones(len(told)), PRIOR * len(names))
    logs, deviations = _fit(wins, shown, counts)
    in_votes = Counter(name for vote in votes for name in vote.shown)
    won = Counter(vote.winner for vote in votes)
    ranked = [
        Ranked(name, score, score - reach, score + reach, in_votes[name], won[name])
        for name, score, reach in zip(
            names, (MEAN + SCALE * logs).tolist(), (SCALE * CONFIDENCE * deviations).tolist(), strict=True
        )
    ]
    return tuple(sorted(ranked, key=lambda one: (-round(one.score, 6), one.variant)))


def _names(votes: Sequence[Vote]) -> list[str]:
    names = sorted({name for vote in votes for name in vote.shown})
    if len(names) > MOST_RANKED:
        raise BadComparison(reason=f"the votes name {len(names)} variants, and at most {MOST_RANKED} are ranked")
    return names


def _fit(wins: Floats, shown: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """The logarithms of the strengths, with mean 0, that make the votes likeliest, and their standard deviations.

    `wins` has n entries, `shown` is m x n of 0 and 1: who was in each vote, `counts` has m entries: how often it was.
    By Newton's method; its steps are shortened as Sun and Tran-Dinh (2019, "Generalized self-concordant functions")
    show for sums of such logarithms, so that they never go astray.
    """
    many = len(wins)
    logs = np.zeros(many)
    for _ in range(MOST_STEPS):
        strengths = shown * np.exp(logs)
        chances = strengths / strengths.sum(axis=1, keepdims=True)
        expected = counts[:, None] * chances
        # minus the second derivatives, made invertible in the direction in which all strengths grow alike
        information = np.diag(expected.sum(axis=0)) - chances.T @ expected + 1 / many
        inverse = np.linalg.inv(information)
        step = inverse @ (wins - expected.sum(axis=0))
        reach = np.ptp(step)
        if reach < ENOUGH:
            break
        logs += step * np.log1p(reach) / reach
    return logs, np.sqrt(np.maximum(0, np.diag(inverse) - 1 / many))


# --- as the visitor's browser keeps them --------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    __pydantic_config__ = STRICT

    format: Literal["paddock-votes"]
    version: Version1
    votes: Annotated[tuple[Vote, ...], at_most(MOST_VOTES)]

    def __post_init__(self) -> None:
        for name in _names(self.votes):
            Variant.parse(name)


def votes_to_json(votes: Sequence[Vote]) -> str:
    """The newest votes, as many as are read again."""
    kept = [asdict(vote) for vote in votes[-MOST_VOTES:]]
    while True:
        data = {"format": FORMAT, "version": VERSION, "votes": kept}
        written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        if len(written.encode()) <= LONGEST_VOTES:
            return written
        kept = kept[(len(kept) + 1) // 2 :]


def votes_from_json(text: Any) -> tuple[Vote, ...]:
    """The votes that `votes_to_json` wrote; raises BadComparison for anything else."""
    return read(_File, text, LONGEST_VOTES).votes
