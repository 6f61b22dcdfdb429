"""Which of several to choose: the smallest that is about as good as the reference, and the rule that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..units import size
from .comparison import Compared, find
from .measured import Measured, memory_of

TOLERANCE = 0.05  # of the reference's perplexity, where nobody chose another

NOTABLE = 0.01  # of the reference's quality: what is better by less is not worth a sentence

PERPLEXITY, BITS_PER_BYTE = "perplexity", "bits per byte"


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
    unit = quality_unit(sound)
    candidates = [found for column in sound if (found := _candidate(column, unit))]
    rule = _rule("variants", unit, distance, reference and f"that of {reference}")
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
    return _choose(candidates, held, unit, distance, "variants")


def suggest_mode(rows: Sequence[Measured], distance: float = TOLERANCE) -> Suggestion | None:
    """The same among the modes of one model, by perplexity; None without a reference and another with figures."""
    candidates = {
        id(row): _Candidate(_mode(row), row.variant, memory_of(row), row.perplexity, row.decode_tokens_per_s or 0)
        for row in rows
        if row.perplexity and memory_of(row)
    }
    reference = next((candidates[id(row)] for row in rows if row.reference and id(row) in candidates), None)
    if reference is None or len(candidates) < 2:
        return None
    return _choose(list(candidates.values()), reference, PERPLEXITY, distance, "modes")


def _mode(row: Measured) -> str:
    return row.variant.rpartition("@")[2]


def quality_unit(columns: Sequence[Compared]) -> str:
    """Perplexity where all columns with a figure of quality share a tokenizer, else bits per byte."""
    scored = [column for column in columns if column.known.perplexity or column.known.bits_per_byte]
    names = {column.tokenizer for column in scored}
    return PERPLEXITY if len(names) == 1 and names != {""} else BITS_PER_BYTE


def quality_of(column: Compared, unit: str) -> float | None:
    """The figure of a column; less is better."""
    return column.known.perplexity if unit == PERPLEXITY else column.known.bits_per_byte


def _candidate(column: Compared, unit: str) -> _Candidate | None:
    row = column.known
    quality = quality_of(column, unit)
    if not quality or not memory_of(row):
        return None
    name = column.resolved or column.variant
    return _Candidate(name, column.variant, memory_of(row), quality, row.decode_tokens_per_s or 0)


def _choose(
    candidates: Sequence[_Candidate], reference: _Candidate, unit: str, distance: float, kind: str
) -> Suggestion:
    limit = reference.quality * (1 + distance)
    good = [one for one in candidates if one is reference or one.quality <= limit]
    best = min(good, key=lambda one: (one.bytes, -one.speed, one is not reference))
    rule = _rule(kind, unit, distance, f"that of {reference.name} ({reference.quality:.2f})")
    if best is reference:
        return Suggestion(_keep(candidates, best, unit), rule, best.variant)
    memory = f"{size(best.bytes)} instead of {size(reference.bytes)}"
    if best.bytes == reference.bytes:
        memory = f"{size(best.bytes)} like {reference.name}"
    worse = f"{best.quality / reference.quality - 1:+.1%}"
    found = f"{best.name} is good enough: {memory}, {unit} {best.quality:.2f} ({worse}){_speeds(best, reference)}."
    return Suggestion(found, rule, best.variant)


def _keep(candidates: Sequence[_Candidate], reference: _Candidate, unit: str) -> str:
    if any(one.bytes < reference.bytes for one in candidates):
        return f"Nothing smaller is as good: keep {reference.name}, {size(reference.bytes)}."
    found = f"Keep {reference.name}: with {size(reference.bytes)} it is the smallest of them."
    better = min(candidates, key=lambda one: one.quality)
    gain = better.quality / reference.quality - 1
    if gain > -NOTABLE:
        return found
    worth = f"{unit} {better.quality:.2f} ({gain:+.1%})"
    return f"{found} {better.name} is better, {worth}, and takes {size(better.bytes)}."


def _rule(kind: str, unit: str, distance: float, against: str) -> str:
    return (
        f"The rule: of the {kind} whose {unit} {'is' if unit == PERPLEXITY else 'are'} at most {distance:.0%} "
        f"above {against or 'the best'}, the one whose weights take the least memory; of equals the faster."
    )


def _speeds(best: _Candidate, reference: _Candidate) -> str:
    if not best.speed or not reference.speed:
        return ""
    return f", {best.speed:.1f} tok/s instead of {reference.speed:.1f}"
