"""Which of several to choose: the smallest that is about as good as the reference, and how far that reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..units import size
from .comparison import Compared, find

TOLERANCE = 0.05  # of the reference's perplexity, where nobody chose another
NOTABLE = 0.01  # of the reference's quality: what is better by less is not worth a sentence
PERPLEXITY, BITS_PER_BYTE = "perplexity", "bits_per_byte"  # fields of Measured, and words but for the underscores

# Sentences, each with the values that it takes; `measure` is a word that is translated as well.
SMALLER = (
    "On the sample text, {name} stays within {share} of {reference} ({measure} {change}) and is {times} times smaller."
)
SMALLER_TIMED = (
    "On the sample text, {name} stays within {share} of {reference} ({measure} {change}), is {times} times smaller and "
    "decodes {factor} times as fast."
)
ALIKE = "On the sample text, {name} stays within {share} of {reference} ({measure} {change}) in about the same memory."
KEEP = "On the sample text, nothing smaller stays within {share} of {reference} ({bytes})."
SMALLEST = "{reference} is the smallest of them ({bytes})."
BETTER = (
    "{reference} is the smallest of them ({own}); on the sample text, {name} is better ({measure} {change}) and takes "
    "{bytes}."
)
NOT_MEASURED = "Quality was not measured."
NO_REFERENCE = "The reference {reference} has no figures of quality."
ONLY_ONE = "Only {name} has figures of quality."
NOT_JUDGED = "Your prompt was not judged."
MARKED = "{right} of {count} answers marked right."
MARKED_NAMES = "{right} of {count} answers marked right: {names}."
SMALLEST_RIGHT = "Of those, {name} is the smallest ({bytes})."
RULE = (
    "The rule: of the variants whose {measure} is at most {share} above that of {reference}, the one whose weights "
    "take the least memory; of equals the faster. One whose answers are mostly marked wrong is not taken."
)
RULE_CACHES = (
    "The rule: of the variants whose {measure} is at most {share} above that of {reference}, the one that needs the "
    "least memory free, since all have the same weights; of equals the faster. One whose answers are mostly marked "
    "wrong is not taken."
)
RULE_UNMEASURED = (
    "The rule: of the variants whose answers are marked right, the one whose weights take the least memory."
)
SENTENCES = (SMALLER, SMALLER_TIMED, ALIKE, KEEP, SMALLEST, BETTER, NOT_MEASURED, NO_REFERENCE, ONLY_ONE, NOT_JUDGED,
             MARKED, MARKED_NAMES, SMALLEST_RIGHT, RULE, RULE_CACHES, RULE_UNMEASURED)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One of SENTENCES and its values, so that it can be said in another language; as text it is English."""

    template: str
    values: Mapping[str, str]

    def __str__(self) -> str:
        return self.template.format(**self.values)


def _say(template: str, **values: object) -> Said:
    return Said(template, {name: str(value) for name, value in values.items()})


@dataclass(frozen=True)
class Suggestion:
    """What to choose and how far that reaches, and the rule behind it; `variant` is empty where nothing can be."""

    said: tuple[Said, ...]
    why: Said
    variant: str = ""

    @property
    def sentence(self) -> str:
        """In English."""
        return " ".join(map(str, self.said))

    @property
    def rule(self) -> str:
        """In English."""
        return str(self.why)


@dataclass(frozen=True)
class _Candidate:
    """One that could be chosen; of quality, less is better."""

    name: str
    variant: str
    bytes: int
    quality: float
    speed: float
    refused: bool = False  # its answers are mostly marked wrong


def suggest(
    columns: Sequence[Compared], reference: str, distance: float, names: Sequence[str] = ()
) -> Suggestion | None:
    """The smallest variant whose quality is at most the share `distance` worse than the reference's, of equals the
    faster; and what readers marked right.

    Quality is perplexity where all share a tokenizer, else bits per byte. Without a reference, the best of them is it.
    `names` are short ones, a column each. None for fewer than two columns.
    """
    if len(columns) < 2:
        return None
    named = list(names) or [column.resolved or column.variant for column in columns]
    sound = [column for column in columns if not column.error and not column.known.error]
    measure = quality_measure(sound)
    pairs = zip(named, columns, strict=True)
    caches = _caches_only(sound)
    found = [_candidate(name, column, measure, caches) for name, column in pairs if column in sound]
    candidates, rule = [one for one in found if one], RULE_CACHES if caches else RULE
    judged = _judged(columns, named)
    if not any(getattr(column.known, measure) for column in sound):
        return _unmeasured(columns, named, judged)
    against = find(columns, reference)
    held = next((one for one in candidates if against and one.variant == against.variant), None)
    if reference and held is None:
        name = named[list(columns).index(against)] if against else reference
        why = _say(rule, measure=_words(measure), share=f"{distance:.0%}", reference=name)
        return Suggestion((_say(NO_REFERENCE, reference=name), *judged), why)
    if not candidates:
        return _unmeasured(columns, named, judged)
    held = held or min(candidates, key=lambda one: one.quality)
    why = _say(rule, measure=_words(measure), share=f"{distance:.0%}", reference=f"{held.name} ({held.quality:.2f})")
    if len(candidates) < 2:
        return Suggestion((_say(ONLY_ONE, name=held.name), *judged), why)
    said, best = _choose(candidates, held, measure, distance)
    whole = (said, *judged) if judged[0].template == NOT_JUDGED else (*judged, said)
    return Suggestion(whole, why, best.variant if best and not best.refused else "")


def quality_measure(columns: Sequence[Compared]) -> str:
    """PERPLEXITY where all columns with a figure of quality, or all that will have one, share a tokenizer, else
    BITS_PER_BYTE.
    """
    scored = [column for column in columns if column.known.perplexity or column.known.bits_per_byte]
    names = {column.tokenizer for column in scored or columns}
    return PERPLEXITY if len(names) == 1 and names != {""} else BITS_PER_BYTE


def _words(measure: str) -> str:
    return measure.replace("_", " ")


def _caches_only(columns: Sequence[Compared]) -> bool:
    """Whether they have the same weights and differ by their KV caches, so that those decide."""
    same = len({column.known.memory for column in columns}) == 1 and all(column.needed for column in columns)
    return same and any("/" in column.variant.partition("+")[0].partition("@")[2] for column in columns)


def _candidate(name: str, column: Compared, measure: str, caches: bool) -> _Candidate | None:
    known = column.known
    quality, taken = getattr(known, measure), column.needed if caches else known.memory
    if not quality or not taken:
        return None
    refused = column.wrong > column.right
    return _Candidate(name, column.variant, taken, quality, known.measured_speed, refused)


def _judged(columns: Sequence[Compared], names: Sequence[str]) -> tuple[Said, ...]:
    """What readers made of the answers to the prompt."""
    right, count = sum(column.right for column in columns), sum(column.right + column.wrong for column in columns)
    if not count:
        return (_say(NOT_JUDGED),)
    good = [name for name, column in zip(names, columns, strict=True) if column.right > column.wrong]
    if not good or len(good) > 3:
        return (_say(MARKED, right=right, count=count),)
    return (_say(MARKED_NAMES, right=right, count=count, names=", ".join(good)),)


def _unmeasured(columns: Sequence[Compared], names: Sequence[str], judged: tuple[Said, ...]) -> Suggestion:
    """By the marks alone."""
    right = [
        pair for pair in zip(columns, names, strict=True) if pair[0].right > pair[0].wrong and pair[0].known.memory
    ]
    if not right:
        return Suggestion((_say(NOT_MEASURED), *judged), _say(RULE_UNMEASURED))
    best, name = min(right, key=lambda pair: pair[0].known.memory)
    said = _say(SMALLEST_RIGHT, name=name, bytes=size(best.known.memory))
    whole = (*judged, said) if len(right) > 1 else judged
    return Suggestion((*whole, _say(NOT_MEASURED)), _say(RULE_UNMEASURED), best.variant)


def _choose(
    candidates: Sequence[_Candidate], reference: _Candidate, measure: str, distance: float
) -> tuple[Said, _Candidate]:
    limit = reference.quality * (1 + distance)
    good = [one for one in candidates if one is reference or (one.quality <= limit and not one.refused)]
    best = min(good, key=lambda one: (one.bytes, -one.speed, one is not reference))
    share = f"{distance:.0%}"
    if best is reference:
        return _keep(candidates, best, measure, share), best
    said = {
        "name": best.name,
        "share": share,
        "reference": reference.name,
        "measure": _words(measure),
        "change": _change(best, reference),
    }
    times = f"{reference.bytes / best.bytes:.1f}"
    if float(times) <= 1:
        return _say(ALIKE, **said), best
    if not best.speed or not reference.speed:
        return _say(SMALLER, **said, times=times), best
    return _say(SMALLER_TIMED, **said, times=times, factor=f"{best.speed / reference.speed:.1f}"), best


def _keep(candidates: Sequence[_Candidate], reference: _Candidate, measure: str, share: str) -> Said:
    name, own = reference.name, size(reference.bytes)
    if any(one.bytes < reference.bytes for one in candidates):
        return _say(KEEP, share=share, reference=name, bytes=own)
    better = min(candidates, key=lambda one: one.quality)
    if better.quality / reference.quality - 1 > -NOTABLE:
        return _say(SMALLEST, reference=name, bytes=own)
    said = {"reference": name, "own": own, "name": better.name, "bytes": size(better.bytes)}
    return _say(BETTER, **said, measure=_words(measure), change=_change(better, reference))


def _change(one: _Candidate, reference: _Candidate) -> str:
    return f"{one.quality / reference.quality - 1:+.1%}"
