"""A model that does not speak the visitor's language says so, and names those that do."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from models.domain.languages import NAMES, speaks
from models.domain.memory.model_info import ModelInfo
from tests.ui.markup import EVIL, Markup, is_harmless
from tests.ui.picker.test_card import MODEL
from ui.shared import language
from ui.shared.language import say
from ui.shared.spoken import language_note

ENGLISH = replace(MODEL, title="Small", languages=("en",))
CHINESE = replace(MODEL, key="other", title="Other", languages=("zh", "en"))


def note(info: ModelInfo, wanted: str, *others: ModelInfo) -> str:
    return language_note(info, wanted, (info, *others))


@pytest.mark.parametrize(
    ("languages", "wanted", "spoken"),
    [(("en",), "en", True), (("en",), "zh", False), (("en", "mul"), "zh", True), ((), "zh", True)],
)
def test_speaks(languages: tuple[str, ...], wanted: str, spoken: bool) -> None:
    assert speaks(languages, wanted) == spoken
    assert (note(replace(MODEL, languages=languages), wanted) == "") == spoken


def test_says_what_to_expect_and_what_to_pick() -> None:
    html = note(ENGLISH, "zh", CHINESE)
    text = "Small was trained on English; answers in Chinese will be poor. Models here that speak Chinese: Other"
    assert Markup(html).text == text
    assert 'data-press="other"' in html


def test_names_only_what_fits_is_of_its_kind_and_says_that_it_speaks_it() -> None:
    base, unknown = replace(CHINESE, kind="base"), replace(CHINESE, languages=())
    too_large = replace(CHINESE, plans={name: replace(plan, fits=False) for name, plan in CHINESE.plans.items()})
    assert "Models here" not in note(ENGLISH, "zh", base, unknown, too_large)


def test_names_the_smallest_that_is_no_toy_and_needs_no_account() -> None:
    toy, large = replace(CHINESE, key="toy", parameters=10**8), replace(CHINESE, key="large", parameters=10**10)
    gated, many = replace(large, key="gated", gated=True), replace(CHINESE, key="many", languages=("mul",))
    small = replace(CHINESE, key="small", parameters=10**9)
    assert re.findall('press="(.+?)"', note(ENGLISH, "zh", toy, gated, many, large, small)) == ["small", "large"]


def test_a_language_that_no_model_is_known_by_is_no_reason_to_warn() -> None:
    assert note(ENGLISH, "xx", CHINESE) == ""


def test_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "language", lambda: language.CHINESE)
    text = "Small 主要以英语训练；用中文回答的效果会很差。 这里会中文的模型： Other"
    assert Markup(note(ENGLISH, "zh", CHINESE)).text == text
    assert not [name for name in NAMES.values() if say(name) == name]


def test_names_are_escaped() -> None:
    assert is_harmless(note(replace(ENGLISH, title=EVIL), "zh", replace(CHINESE, key=EVIL, title=EVIL)))
