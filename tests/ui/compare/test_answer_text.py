"""An answer as Markdown or raw, with its places marked, and nothing of it as markup of its own."""

import re

import pytest

from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare.answer_text import drawn

ANSWER = "# Title\n\nIt is **so**, x < y & z.\n\n3. three\n\n```py\nprint('<b>')\n```\n\n- one\n- two"


def test_markdown_is_drawn_and_raw_is_as_it_was_written():
    markup = Markup(drawn(ANSWER, raw=False))
    assert {"strong", "ol", "ul", "pre"} <= markup.tags
    assert ("value", "3") in markup.attributes
    assert not markup.tags & {"h1", "h2"}  # no part of the page's outline
    assert Markup(drawn(ANSWER, raw=True)).text == ANSWER


@pytest.mark.parametrize("place", range(len(ANSWER) + 1))
def test_a_mark_at_any_place_takes_nothing_away(place):
    for raw in (True, False):
        plain, marked = Markup(drawn(ANSWER, raw)), drawn(ANSWER, raw, place, "why", place, "loop")
        assert marked.count("<mark") <= 1
        assert Markup(marked).text.replace("loop", "") == plain.text
        assert re.sub(r"</?mark[^>]*>|<b class=.loop.>loop</b>", "", marked) == drawn(ANSWER, raw)


def test_the_first_word_that_differs_is_marked():
    assert '<mark title="why">wheels</mark>' in drawn("The wheels turn.", False, 3, "why")
    assert '<strong><mark title="why">bold</mark></strong>' in drawn("So **bold** it is", False, 2, "why")
    assert '<li value="2"><mark title="why">b</mark>' in drawn("1. a\n2. b", False, 4, "why")
    assert '<mark class="ends" title="why"></mark>' in drawn("The end", False, 7, "why")


@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        f"[{EVIL}](javascript:alert(1))",
        "![x](https://example.org/x.png)",
        "<https://example.org/?q=1>",
        f"```{EVIL}\n{EVIL}\n```",
        f"| {EVIL} | b |\n|---|---|\n| c | {EVIL} |",
        "[a]: javascript:alert(1)\n\n[a]",
        "\ue000\ue001 private",
    ],
)
def test_nothing_in_it_is_markup(text):
    for raw in (True, False):
        for place in (None, 0, len(text) // 2, len(text)):
            html = drawn(text, raw, place, EVIL, place, EVIL)
            assert is_harmless(html)
            assert not Markup(html).links()
    assert Markup(drawn(text, True)).text == text
