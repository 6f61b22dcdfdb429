"""The stories of the generator: rich, the same for a seed, and true to what they named."""

import re
from itertools import islice

import pytest

from models.training.stories import article, count_names, plural, stories, words


@pytest.fixture(scope="module")
def told():
    return list(stories(4000))


def test_they_have_a_large_vocabulary_and_no_two_are_the_same(told):
    words = {word.lower() for story in told for word in re.findall(r"[A-Za-z]+", story)}
    assert len(words) >= 3000
    assert len(set(told)) == len(told)
    assert not any(mark in story for story in told for mark in "{}")


def test_a_seed_gives_the_same_stories_each_time():
    assert list(islice(stories(10, seed=3), 5)) == list(stories(5, seed=3))
    assert list(stories(5, seed=3)) != list(stories(5, seed=4))


def test_names_are_those_of_the_opening(told):
    names = count_names(told)
    assert names.right == names.said > 5 * len(told)
    other = count_names(["Mia met Ben Noah.\nThen Mia saw Greta.\nNoah laughed."])
    assert (other.said, other.right) == (3, 2)


def test_pronouns_agree_with_names(told):
    girls, boys = (set(words()[sex]) for sex in ("girl", "boy"))
    assert not girls & boys
    seen = 0
    for story in told:
        found = set(re.findall(r"[A-Za-z]+", story))
        for names, others in ((girls, {"he", "him", "his", "himself"}), (boys, {"she", "her", "herself"})):
            if len(found & names) == 2:
                seen += 1
                assert not {word.lower() for word in found} & others, story
    assert seen > len(told) / 3


def test_what_was_lost_is_what_is_found(told):
    found = [(story, match) for story in told if (match := re.search(r"pulled the (\w+) (\w+) out of the wa", story))]
    assert len(found) > 20
    for story, match in found:
        wish = story.split("\n")[1]
        assert match[1] in wish
        assert match[2] in wish


def test_articles_and_plurals():
    assert [article(word) for word in ("owl", "ukulele", "hourglass", "unselfish", "hen")] == [
        "an owl", "a ukulele", "an hourglass", "an unselfish", "a hen",
    ]  # fmt: skip
    assert [plural(word) for word in ("fox", "pony", "toy", "mouse", "bench")] == [
        "foxes",
        "ponies",
        "toys",
        "mice",
        "benches",
    ]
