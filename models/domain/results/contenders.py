"""Which variants of a list are compared, and why the others are not."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import BadComparisonRequest, NamedTwice, PaddockError, TooManyNamed
from ..variant import Variant
from .comparison import MOST_COLUMNS

MOST_NAMED = 100


@dataclass(frozen=True)
class Contenders:
    """The variants that are compared, their `places` in the list, and by place why each other is left out."""

    variants: tuple[Variant, ...]
    places: tuple[int, ...]
    left_out: Mapping[int, PaddockError]


def acts_as(variant: Variant) -> Hashable:
    """Equal for variants that are the same in all but the order of their adapters."""
    return variant.without_adapters, frozenset(variant.adapters)


def most_of(variants: Iterable[Variant], most: int) -> int:
    """How many of them are compared at once: `most`, but all quantizations of one variant, which are one study."""
    studies = {(variant.model, frozenset(variant.adapters)) for variant in variants}
    return max(most, MOST_COLUMNS) if len(studies) == 1 else most


def select_variants(spellings: Sequence[str], most: int) -> Contenders:
    """The first `most` different variants of a list, however few they are; more where `most_of` allows it.

    Raises BadComparisonRequest for what is no list, or a list of more than `MOST_NAMED`.
    """
    if isinstance(spellings, str) or not isinstance(spellings, Sequence):
        raise BadComparisonRequest(reason="it is not a list of variants")
    if len(spellings) > MOST_NAMED:
        raise BadComparisonRequest(reason=f"{len(spellings)} variants were named, and at most {most} are compared")
    most = most_of(_readable(spellings), most)
    found: dict[Hashable, tuple[int, Variant]] = {}
    left_out: dict[int, PaddockError] = {}
    for place, spelling in enumerate(spellings):
        try:
            variant = Variant.parse(spelling)
            if (same := acts_as(variant)) in found:
                raise NamedTwice(variant=str(variant))
            if len(found) == most:
                raise TooManyNamed(variant=str(variant), count=len(spellings), limit=most)
            found[same] = (place, variant)
        except PaddockError as error:
            left_out[place] = error
    places, variants = zip(*found.values(), strict=True) if found else ((), ())
    return Contenders(variants, places, left_out)


def _readable(spellings: Sequence[str]) -> Iterator[Variant]:
    for spelling in spellings:
        with suppress(PaddockError):
            yield Variant.parse(spelling)


def contenders(spellings: Sequence[str], most: int, least: int = 2) -> Contenders:
    """The same, where at least so many are left; raises BadComparisonRequest, or the reason that left too few."""
    found = select_variants(spellings, most)
    if len(found.variants) < least:
        for reason in found.left_out.values():
            raise reason
        raise BadComparisonRequest(reason="only one was named, and it takes two" if spellings else "none was named")
    return found


def check_variants(spellings: Sequence[str], most: int, least: int = 2) -> Contenders:
    """The same, where none is left out; raises BadComparisonRequest, BadSpelling or ModelIsAPath."""
    found = contenders(spellings, most, least)
    for reason in found.left_out.values():
        raise reason
    return found
