"""Stories to pretrain on where there is no other data: characters, a wish, an obstacle with its cause, an ending.

All words and sentences stand in stories.toml. What a sentence names comes back later: names, pronouns, things, causes.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PRONOUNS = {
    "boy": ("he", "him", "his", "himself"),
    "girl": ("she", "her", "her", "herself"),
}  # the slots: those of boys
_AN, _A = ("hour", "honest"), ("uk", "uni", "eu", "use")  # by sound, not by letter


def stories(count: int, seed: int = 0) -> Iterator[str]:
    """`count` stories of about 120 words in three paragraphs; the same seed gives the same ones."""
    return (_story(random.Random(f"{seed} {number}")) for number in range(count))


@dataclass(frozen=True)
class NameCount:
    """Names that were said after an opening, and how many of them the opening had introduced."""

    said: int
    right: int


def count_names(stories: Iterable[str]) -> NameCount:
    """Whether stories go on with the characters of their first paragraph."""
    said = right = 0
    for story in stories:
        opening, _, rest = story.partition("\n")
        known = set(_names(opening))
        found = _names(rest)
        said, right = said + len(found), right + sum(name in known for name in found)
    return NameCount(said, right)


def article(word: str) -> str:
    """The word with a or an."""
    vowel = word.startswith(_AN) or (word[0] in "aeiou" and not word.startswith(_A)) or word.startswith("unin")
    return f"{'an' if vowel else 'a'} {word}"


def plural(word: str) -> str:
    """Of a noun."""
    if (irregular := _tables()["plurals"].get(word)) is not None:
        return str(irregular)
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


@cache
def _tables() -> dict[str, Any]:
    read = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return read | {"words": {name: tuple(words.split()) for name, words in read["words"].items()}}


def words() -> dict[str, tuple[str, ...]]:
    """The tables of words by their names."""
    return dict(_tables()["words"])


@cache
def _all_names() -> frozenset[str]:
    return frozenset((*words()["girl"], *words()["boy"]))


def _names(text: str) -> list[str]:
    return [word for word in re.findall(r"[A-Z][a-z]+", text) if word in _all_names()]


class _Slots(dict[str, str]):
    """What the slots of one story hold, drawn when they are first asked for; two of a table are never the same."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice
        self._character("", "hero", "")
        self._character("f", "friend", "f")

    def _character(self, pronoun: str, name: str, of: str) -> None:
        sex = self._dice.choice(("girl", "boy"))
        self[name] = self._new(sex)
        kind = self._dice.choice((sex, sex, "animal", "job"))
        self[f"{of}kind"] = sex if kind == sex else self._new(kind)
        self[f"{of}trait"] = self._new("trait")
        slots = (f"{pronoun}{slot}" for slot in PRONOUNS["boy"])
        self.update(zip(slots, PRONOUNS[sex], strict=True))

    def _new(self, table: str) -> str:
        taken = {*self.values()}
        free = [word for word in _tables()["words"][table] if word not in taken]
        return self._dice.choice(free)

    def __missing__(self, slot: str) -> str:
        if slot[0].isupper():
            text = self[slot[0].lower() + slot[1:]]
            return text[0].upper() + text[1:]
        if slot.startswith("a_"):
            return article(self[slot[2:]])
        if slot.startswith("plural_"):
            return plural(self[slot[7:]])
        table = slot.rstrip("0123456789")
        if table in _tables()["sentences"]:
            self[slot] = self.write(self._dice.choice(_tables()["sentences"][table]))
        else:
            self[slot] = self._new(table)
        return self[slot]

    def write(self, text: str) -> str:
        """A text with its slots filled."""
        return text.format_map(self)


def _story(dice: random.Random) -> str:
    slots, tables = _Slots(dice), _tables()
    wish = dice.choice(tables["wishes"])
    obstacle = dice.choice(wish["obstacles"])
    opening = slots.write(dice.choice(tables["sentences"]["opening"]))
    parts = [dice.choice(wish["wish"]), obstacle["problem"], obstacle["tried"]]
    middle = " ".join(slots.write(part) for part in parts)
    slots["rule"] = slots.write(obstacle["rule"])
    sentences = tables["sentences"]
    last = [obstacle["answer"], dice.choice(sentences["ending"]), dice.choice(sentences["moral"])]
    return "\n".join([opening, middle, " ".join(slots.write(part) for part in last)])
