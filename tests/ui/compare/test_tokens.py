"""The token view: text as it was, colours that can be read, alternatives as text."""

import re
from pathlib import Path

import pytest

from models.domain.results.comparison import TokenView
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare import tokens as render_tokens

STYLE = Path(render_tokens.__file__).parents[1].joinpath("style.css").read_text(encoding="utf-8")
ANSWER = (
    TokenView("Hi", 0.9, ((" Oh", 0.05), ("\n", 0.01))),
    TokenView(" you", 0.3),
    TokenView("\n\t", 0.01),
    TokenView("x", 0.6),
)


def without_legend(html):
    return html.partition('<div class="tokens">')[2]


def test_what_is_copied_is_the_answer():
    html = without_legend(render_tokens.tokens(ANSWER))
    assert Markup(html).text == "Hi you\n\tx"
    assert Markup(html).values("data-mark") == ["␣", "⏎", "⇥"]


def test_each_token_has_its_step_and_can_be_focused():
    markup = Markup(without_legend(render_tokens.tokens(ANSWER)))
    assert [name for name in markup.values("class") if name.startswith("token ")] == [
        "token s5",
        "token s3",
        "token s1",
        "token s4",
    ]
    assert markup.values("tabindex") == ["0"] * 4
    assert markup.values("title")[0] == "90.0% likely"
    assert markup.values("data-likely")[0].split("\n") == ["▸  90.0%  Hi", "    5.0%  ␣Oh", "    1.0%  ⏎"]


@pytest.mark.parametrize(
    ("probability", "step"), [(0, 1), (0.049, 1), (0.05, 2), (0.2, 3), (0.5, 4), (0.79, 4), (0.8, 5), (1, 5)]
)
def test_steps(probability, step):
    assert render_tokens.step(probability) == step


def test_a_part_of_a_character_is_named():
    assert "(part of a character)" in render_tokens.tokens((TokenView("", 0.5),))


def test_tokens_are_no_markup():
    html = render_tokens.tokens((TokenView(EVIL, 0.5, ((EVIL, 0.1),)),))
    assert is_harmless(html)
    assert Markup(without_legend(html)).text == EVIL


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read_on_every_colour(mode):
    blocks = re.findall(r"^(\.dark )?\.gradio-container[^{]*\{([^}]*--token-text[^}]*)\}", STYLE, re.MULTILINE)
    (block,) = [body for dark, body in blocks if bool(dark) == (mode == "dark")]
    colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
    assert set(colours) == {"differs", "token-text", "t1", "t2", "t3", "t4", "t5"}
    text = luminance(colours.pop("token-text"))
    for name, colour in colours.items():
        low, high = sorted((text, luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
