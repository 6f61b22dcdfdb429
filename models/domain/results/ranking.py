"""Blind votes, and the ranking that they make."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ..checked_json import Unfit, body, flag, parse, record, several, text
from ..errors import BadComparison, PaddockError
from ..variant import LONGEST_SPELLING, Variant

FORMAT, VERSION = "paddock-votes", 1
MOST_VOTES = 10_000
MOST_SHOWN = 16  # variants in one vote
MOST_RANKED = 32  # different variants in all votes: the intervals take the inverse of a matrix of that size
LONGEST_VOTES = 5_000_000  # bytes
MEAN, SCALE = 1000.0, 400 / math.log(10)  # of Elo's scale: 400 more is ten times as likely to be picked
PRIOR = 0.5  # votes that each is given in one imagined vote among all
CONFIDENCE = 1.959964  # standard deviations of 95 %
ROUNDS, ENOUGH = 200, 1e-9


@dataclass(frozen=True)
class Vote:
    """What was picked of the variants that were shown without their names; raises BadComparison.

    `winner` is one of `shown`, or empty: with `tie` all were equally good, without it none was good.
    """

    shown: tuple[str, ...]
    winner: str = ""
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
    wins = [PRIOR] * len(names)
    sets: Counter[tuple[int, ...]] = Counter()
    for vote in votes:
        shown = tuple(sorted(place[name] for name in vote.shown))
        if vote.winner:
            wins[place[vote.winner]] += 1
        elif vote.tie:
            for one in shown:
                wins[one] += 1 / len(shown)
        else:
            continue
        sets[shown] += 1
    weights = {shown: float(count) for shown, count in sorted(sets.items())}
    everyone = tuple(range(len(names)))
    weights[everyone] = weights.get(everyone, 0.0) + PRIOR * len(names)
    logs = _fit(wins, weights)
    spread = [
        math.sqrt(max(0.0, row[i] - 1 / len(names))) for i, row in enumerate(_inverse(_information(logs, weights)))
    ]
    in_votes = Counter(name for vote in votes for name in vote.shown)
    won = Counter(vote.winner for vote in votes if vote.winner)
    ranked = []
    for name, value, deviation in zip(names, logs, spread, strict=True):
        score, reach = MEAN + SCALE * value, SCALE * CONFIDENCE * deviation
        ranked.append(Ranked(name, score, score - reach, score + reach, in_votes[name], won[name]))
    return tuple(sorted(ranked, key=lambda one: (-round(one.score, 6), one.variant)))


def _names(votes: Sequence[Vote]) -> list[str]:
    names = sorted({name for vote in votes for name in vote.shown})
    if len(names) > MOST_RANKED:
        raise BadComparison(reason=f"the votes name {len(names)} variants, and at most {MOST_RANKED} are ranked")
    return names


# --- the fit ------------------------------------------------------------------------------------------------

_Sets = dict[tuple[int, ...], float]  # those shown together, and how many votes


def _fit(wins: Sequence[float], sets: _Sets) -> list[float]:
    """The logarithms of the strengths, with mean 0, that make the votes likeliest.

    A step of Newton where it climbs, since it ends in a few; else one of the MM algorithm, which always climbs, but
    takes thousands where groups that were hardly ever compared hang together by the prior alone.
    """
    logs = _climb([0.0] * len(wins), wins, sets)
    reached = _likelihood(logs, wins, sets)
    for _ in range(ROUNDS):
        expected = _expected(logs, sets)
        slope = [own - theirs for own, theirs in zip(wins, expected, strict=True)]
        inverse = _inverse(_information(logs, sets))
        step = [sum(a * b for a, b in zip(row, slope, strict=True)) for row in inverse]
        moved = _centred([value + change for value, change in zip(logs, step, strict=True)])
        if max(map(abs, step)) < ENOUGH:
            return moved
        found = _likelihood(moved, wins, sets)
        if not found > reached:
            moved = _climb(logs, wins, sets)
            found = _likelihood(moved, wins, sets)
        if max(abs(new - old) for new, old in zip(moved, logs, strict=True)) < ENOUGH:
            return moved
        logs, reached = moved, found
    return logs


def _climb(logs: Sequence[float], wins: Sequence[float], sets: _Sets) -> list[float]:
    """One step of the MM algorithm: wins over the sum, of all sets one was shown in, of votes by total strength."""
    strength = [math.exp(value) for value in logs]
    chances = [0.0] * len(logs)
    for shown, count in sets.items():
        share = count / sum(strength[i] for i in shown)
        for i in shown:
            chances[i] += share
    return _centred([math.log(won / chance) for won, chance in zip(wins, chances, strict=True)])


def _centred(logs: Sequence[float]) -> list[float]:
    mean = math.fsum(logs) / len(logs)
    return [value - mean for value in logs]


def _likelihood(logs: Sequence[float], wins: Sequence[float], sets: _Sets) -> float:
    try:
        totals = (count * math.log(sum(math.exp(logs[i]) for i in shown)) for shown, count in sets.items())
        return math.fsum(won * value for won, value in zip(wins, logs, strict=True)) - math.fsum(totals)
    except (OverflowError, ValueError):  # a step of Newton that went astray
        return -math.inf


def _shares(logs: Sequence[float], shown: tuple[int, ...]) -> list[float]:
    strength = [math.exp(logs[i]) for i in shown]
    total = sum(strength)
    return [value / total for value in strength]


def _expected(logs: Sequence[float], sets: _Sets) -> list[float]:
    """The wins that these strengths would bring."""
    wins = [0.0] * len(logs)
    for shown, count in sets.items():
        for i, share in zip(shown, _shares(logs, shown), strict=True):
            wins[i] += count * share
    return wins


def _information(logs: Sequence[float], sets: _Sets) -> list[list[float]]:
    """Minus the second derivatives, made invertible in the direction in which all strengths grow alike."""
    many = len(logs)
    matrix = [[1 / many] * many for _ in logs]
    for shown, count in sets.items():
        shares = _shares(logs, shown)
        for i, own in zip(shown, shares, strict=True):
            matrix[i][i] += count * own
            for j, other in zip(shown, shares, strict=True):
                matrix[i][j] -= count * own * other
    return matrix


def _inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """The inverse of a symmetric positive definite matrix, by Gauss and Jordan."""
    many = len(matrix)
    rows = [[*row, *(float(i == j) for j in range(many))] for i, row in enumerate(matrix)]
    for i in range(many):
        best = max(range(i, many), key=lambda k: abs(rows[k][i]))
        rows[i], rows[best] = rows[best], rows[i]
        pivot = rows[i][i]
        rows[i] = [value / pivot for value in rows[i]]
        for k in range(many):
            if k != i and rows[k][i]:
                factor = rows[k][i]
                rows[k] = [value - factor * own for value, own in zip(rows[k], rows[i], strict=True)]
    return [row[many:] for row in rows]


# --- as the visitor's browser keeps them --------------------------------------------------------------------

_VOTE = record(
    Vote, {"shown": several(text(LONGEST_SPELLING), MOST_SHOWN), "winner": text(LONGEST_SPELLING), "tie": flag}
)


def votes_to_json(votes: Sequence[Vote]) -> str:
    """The newest votes, as many as are read again."""
    kept = [asdict(vote) for vote in votes[-MOST_VOTES:]]
    while True:
        data = {"format": FORMAT, "version": VERSION, "votes": kept}
        written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        if len(written.encode()) <= LONGEST_VOTES:
            return written
        kept = kept[(len(kept) + 1) // 2 :]


def votes_from_json(data: str) -> tuple[Vote, ...]:
    """The votes that `votes_to_json` wrote; raises BadComparison for anything else."""
    try:
        fields = body(parse(data, LONGEST_VOTES), FORMAT, VERSION)
        if fields.keys() != {"votes"}:
            raise Unfit("it is not a list of votes alone")
        votes: tuple[Vote, ...] = several(_VOTE, MOST_VOTES)(fields["votes"], "votes")
        for name in _names(votes):
            Variant.parse(name)
    except BadComparison:
        raise
    except Unfit as error:
        raise BadComparison(reason=str(error)) from None
    except PaddockError as error:  # a spelling that cannot be
        raise BadComparison(reason=error.message.removesuffix(".")) from None
    return votes
