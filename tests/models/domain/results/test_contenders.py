"""Which variants of a list are compared: the first different ones, and a sentence for each of the others."""

import pytest

from models.domain.errors import BadComparisonRequest, BadSpelling, ModelIsAPath, NamedTwice, TooManyNamed
from models.domain.results.comparison import MOST_COLUMNS
from models.domain.results.contenders import MOST_NAMED, check_variants, contenders, select_variants


def spelled(found):
    return list(map(str, found.variants))


def test_variants_are_parsed_in_order():
    found = check_variants([" m@nf4", "m@auto", "m+a:1.0"], 6)
    assert spelled(found) == ["m@nf4", "m", "m+a"]
    assert found.places == (0, 1, 2)
    assert not found.left_out


def test_those_that_cannot_be_compared_are_left_out_and_the_others_stay():
    listed = ["a", "?", "a@auto", "b", 3, "/etc", "c", "d", "b+x+y:0.5", "e"]
    found = contenders(listed, 4)
    assert spelled(found) == ["a", "b", "c", "d"]
    assert found.places == (0, 3, 6, 7)
    kinds = {place: type(reason) for place, reason in found.left_out.items()}
    assert kinds == {
        1: BadSpelling, 2: NamedTwice, 4: BadSpelling, 5: ModelIsAPath, 8: TooManyNamed, 9: TooManyNamed,
    }  # fmt: skip
    assert "a was named twice" in str(found.left_out[2])
    assert "“3” is not a variant: it is not text" in str(found.left_out[4])
    assert "e was left out: 10 variants were named, and at most 4" in str(found.left_out[9])


def test_the_same_adapters_in_another_order_are_the_same_variant():
    found = contenders(["m+a+b:0.5", "m", "m+b:0.50+a:1"], 6)
    assert "m+b:0.5+a was named twice" in str(found.left_out[2])


def test_a_repeated_one_beyond_the_last_is_called_repeated():
    assert type(select_variants(["a", "b", "a"], 2).left_out[2]) is NamedTwice


@pytest.mark.parametrize(
    ("spellings", "error", "words"),
    [
        ([], BadComparisonRequest, "none was named"),
        (["m"], BadComparisonRequest, "only one was named"),
        (["m", "m@auto"], NamedTwice, "m was named twice"),
        (["m", "?"], BadSpelling, "“\\?” is not a variant"),
        (["?", "m", "m"], BadSpelling, "“\\?” is not a variant"),
        ("mm", BadComparisonRequest, "not a list"),
        (None, BadComparisonRequest, "not a list"),
        ([f"m@q{n}" for n in range(MOST_NAMED + 1)], BadComparisonRequest, "101 variants were named, and at most 6"),
    ],
)
def test_fewer_than_two_are_refused_with_the_reason(spellings, error, words):
    with pytest.raises(error, match=words):
        contenders(spellings, 6)


def test_one_may_be_measured_alone():
    assert spelled(contenders(["m"], 6, least=1)) == ["m"]
    with pytest.raises(BadComparisonRequest, match="none was named"):
        check_variants([], 6, least=1)


def test_a_list_that_is_being_made_may_be_short():
    assert spelled(select_variants(["m"], 6)) == ["m"]
    assert select_variants([], 6).places == ()
    assert list(select_variants(["?"], 6).left_out) == [0]


@pytest.mark.parametrize(
    ("spellings", "error"),
    [(["m", "m@nf4", "?"], BadSpelling), (["m", "n", "m"], NamedTwice), (["a", "b", "c"], TooManyNamed)],
)
def test_where_none_may_be_left_out(spellings, error):
    with pytest.raises(error):
        check_variants(spellings, 2)


def test_all_quantizations_of_one_variant_are_one_study():
    modes = [f"m@q{number}+mine" for number in range(MOST_COLUMNS + 1)]
    assert len(select_variants(modes, 6).variants) == MOST_COLUMNS
    assert len(select_variants([*modes, "m@q0"], 6).variants) == 6
    assert len(select_variants(["?", *modes[:9]], 6).variants) == 9
