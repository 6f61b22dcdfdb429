"""Which of several to choose: the smallest that is about as good as the reference, and the rule that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..units import size
from .comparison import Compared, find

TOLERANCE = 0.05  # of the reference's perplexity, where nobody chose another
NOTABLE = 0.01  # of the reference's quality: what is better by less is not worth a sentence
PERPLEXITY, BITS_PER_BYTE = "perplexity", "bits_per_byte"  # fields of Measured, and words but for the underscores


@dataclass(frozen=True)
class Suggestion:
    """What to choose in a sentence, and the rule behind it; `variant` is empty where nothing can be suggested."""

    sentence: str
    rule: str
    variant: str = ""


@dataclass(frozen=True)
class _Candidate:
    """One that could be chosen; of quality, less is better."""

    name: str
    variant: str
    bytes: int
    quality: float
    speed: float


def suggest(columns: Sequence[Compared], reference: str, distance: float) -> Suggestion | None:
    """The smallest variant whose quality is at most the share `distance` worse than the reference's; of equals the
    faster.

    Quality is perplexity where all share a tokenizer, else bits per byte. Without a reference, the best of them is it.
    None for fewer than two columns.
    """
    if len(columns) < 2:
        return None
    sound = [column for column in columns if not column.error and not column.known.error]
    measure = quality_measure(sound)
    every = [_candidate(column, measure) for column in sound]
    candidates = [one for one in every if one]
    rule = _rule(measure, distance, reference and f"that of {reference}")
    if not candidates:
        return Suggestion("Nothing can be suggested: there are no figures of quality and memory.", rule)
    held = min(candidates, key=lambda one: one.quality)
    if reference:
        column = find(columns, reference)
        own = next((one for one in candidates if column and one.variant == column.variant), None)
        if own is None:
            return Suggestion(f"Nothing can be suggested: the reference {reference} has no figures.", rule)
        held = own
    if len(candidates) < 2:
        return Suggestion(f"Nothing can be suggested: only {held.name} has figures.", rule)
    return _choose(candidates, held, measure, distance)


def quality_measure(columns: Sequence[Compared]) -> str:
    """PERPLEXITY where all columns with a figure of quality share a tokenizer, else BITS_PER_BYTE."""
    names = {column.tokenizer for column in columns if column.known.perplexity or column.known.bits_per_byte}
    return PERPLEXITY if len(names) == 1 and names != {""} else BITS_PER_BYTE


def _candidate(column: Compared, measure: str) -> _Candidate | None:
    known = column.known
    quality = getattr(known, measure)
    if not quality or not known.memory:
        return None
    name = column.resolved or column.variant
    return _Candidate(name, column.variant, known.memory, quality, known.measured_speed)


def _choose(candidates: Sequence[_Candidate], reference: _Candidate, measure: str, distance: float) -> Suggestion:
    limit = reference.quality * (1 + distance)
    good = [one for one in candidates if one is reference or one.quality <= limit]
    best = min(good, key=lambda one: (one.bytes, -one.speed, one is not reference))
    rule = _rule(measure, distance, f"that of {reference.name} ({reference.quality:.2f})")
    if best is reference:
        return Suggestion(_keep(candidates, best, measure), rule, best.variant)
    memory = f"{size(best.bytes)} instead of {size(reference.bytes)}"
    if best.bytes == reference.bytes:
        memory = f"{size(best.bytes)} like {reference.name}"
    speed = f", {best.speed:.1f} tok/s instead of {reference.speed:.1f}" if best.speed and reference.speed else ""
    worse = _against(best, reference, measure)
    return Suggestion(f"{best.name} is good enough: {memory}, {worse}{speed}.", rule, best.variant)


def _keep(candidates: Sequence[_Candidate], reference: _Candidate, measure: str) -> str:
    if any(one.bytes < reference.bytes for one in candidates):
        return f"Nothing smaller is as good: keep {reference.name}, {size(reference.bytes)}."
    found = f"Keep {reference.name}: with {size(reference.bytes)} it is the smallest of them."
    better = min(candidates, key=lambda one: one.quality)
    if better.quality / reference.quality - 1 > -NOTABLE:
        return found
    return f"{found} {better.name} is better, {_against(better, reference, measure)}, and takes {size(better.bytes)}."


def _against(one: _Candidate, reference: _Candidate, measure: str) -> str:
    return f"{measure.replace('_', ' ')} {one.quality:.2f} ({one.quality / reference.quality - 1:+.1%})"


def _rule(measure: str, distance: float, against: str) -> str:
    quality = "perplexity is" if measure == PERPLEXITY else "bits per byte are"
    return (
        f"The rule: of the variants whose {quality} at most {distance:.0%} above {against or 'the best'}, the one "
        "whose weights take the least memory; of equals the faster."
    )
