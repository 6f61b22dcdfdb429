"""Which variants of a list are compared, and why the others are not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import BadComparisonRequest, NamedTwice, PaddockError, TooManyNamed
from ..variant import Variant

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


def select_variants(spellings: Sequence[str], most: int) -> Contenders:
    """The first `most` different variants of a list, however few they are.

    Raises BadComparisonRequest for what is no list, or a list of more than `MOST_NAMED`.
    """
    if isinstance(spellings, str) or not isinstance(spellings, Sequence):
        raise BadComparisonRequest(reason="it is not a list of variants")
    if len(spellings) > MOST_NAMED:
        raise BadComparisonRequest(reason=f"{len(spellings)} variants were named, and at most {most} are compared")
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
