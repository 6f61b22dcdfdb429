"""Texts for the Chatbot: they come back character for character, and Markdown takes nothing away from them."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from ui.shared import exact
from ui.shared.exact import FIRST, FORMULAS, KEPT, LAST, NOTHING, formatted, read, verbatim

ODD = [
    "class A:\n\tdef f(self):\n\t\treturn 1",
    "\n\n  leading and trailing  \n\n",
    "windows\r\nlines\r\n",
    "\ufffd \u200b \u2028 \xa0 \ufeff مرحبا שלום 😀 \0",
    "List<String> names <think>so</think> </s> <!-- x --> &lt; &amp;copy;",
    "$x$ $$a<b$$ \\(y\\) \\[z\\] %%%LATEX_BLOCK_0%%%",
    "# a\n- b\n1. c\n> d\n```html\n<b>&lt;</b>\n```\n| a | b |\n|---|---|\n| 1 | 2 | 3 |",
    f"{chr(FIRST)}{chr(FIRST + 60)}{KEPT}{KEPT}a{NOTHING}{LAST}$x{LAST}$",
    "$$\n\\frac{a}{b} < 1\n$$\n\\[\nx_1\n\\]\n$$\n\nopen",
    "x" * 10_000,
    "",
]
ALPHABET = [
    *"ab1 \t\n\r<>&;#*_~`|-=+.[]()!\\$%\"'/:é",
    chr(FIRST + 60),
    KEPT,
    NOTHING,
    LAST,
    "$$",
    "\n\\[",
    "\\]",
    "\ufffd",
    "\xa0",
    "```",
    "\n1. ",
]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("write", [verbatim, formatted])
def test_odd_texts_come_back(text, write):
    assert read(write(text)) == text


def test_any_text_comes_back():
    chosen = random.Random(0)
    for _ in range(3_000):
        text = "".join(chosen.choices(ALPHABET, k=chosen.randint(0, 40)))
        assert read(verbatim(text)) == text == read(formatted(text))


def test_what_was_kept_before_there_were_stand_ins_is_the_same():
    assert read("List<String> names\n\tx") == "List<String> names\n\tx"


def test_a_question_leaves_markdown_nothing_to_find():
    drawn = verbatim("# <b> `x`\n\n  www.example.com $$1$$")
    assert not set(drawn) & set("# <>`\n.$")
    assert not drawn[0].isspace()


def plain(text):
    """The text as Markdown sees it, with a dot for each stand-in."""
    return "".join("·" if FIRST <= ord(c) <= ord(NOTHING) else c for c in formatted(text))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("**bold** *it* `code` ~~old~~", "**bold** *it* `code` ~~old~~"),
        ("- a\n  - b\n* c", "- a\n  - b\n* c"),
        ("# Title\n\ntext", "# Title\n\ntext"),
        ("List<String> a; </s> a < b", "List·String> a; ·/s> a · b"),
        ("&lt; &#60; a & b", "·lt; ·#60; a & b"),
        ("__init__ snake_case x**2 + y**2", "··init·· snake·case x··2 + y··2"),
        ("\\* C:\\dir", "·· C:·dir"),
        ("~5 to ~6", "·5 to ·6"),
        ("![a](https://b.c/d_e) [f](g) [h]: i [^1]: j", "·[a·(https://b.c/d_e) [f·(g) [h·: i [^1·: j"),
        ("https://a.b/?x=1&copy;y_z", "https://a.b/?x=1·copy;y_z"),
        ("- [x] done", "- ·x] done"),
        (">>> f(1)", "··· f(1)"),
        ("> quoted", "> quoted"),
        ("## C #\n#", "## C ·\n·"),
        ("text\n---\n\n---", "text\n···\n\n---"),
        ("poem\n  indented", "poem\n··indented"),
        ("  first\n\n    code", "··first\n\n    code"),
        ("- a\n\n  b", "- a\n\n  b"),
        ("1. a\n2. b\n\n1. c", "1. a\n2. b\n\n1· c"),
        ("1. a\n3. b\n1. c\n2. d", "1. a\n3· b\n1· c\n2. d"),
        ("1. a\n\ntext\n\n2. b", "1. a\n\ntext\n\n2. b"),
        ("1. a\n   1. b\n   2. c\n2. d", "1. a\n   1. b\n   2. c\n2. d"),
        ("| a | b |\n|---|---|\n| 1 | 2 | 3 |\n| 4 |", "| a | b |\n|---|---|\n| 1 | 2 · 3 |\n| 4 |"),
        ("a | b\n--|--\n1 | 2 | 3", "a | b\n--|--\n1 | 2 · 3"),
        ("```html\n<b>&lt; __x__\n```\n<b>", "```html\n<b>&lt; __x__\n```\n·b>"),
        ("~~~\n```\n<b>\n~~~\n<b>", "~~~\n```\n<b>\n~~~\n·b>"),
        ("1. a\n   ```\n   <b>\n<b>\n   ```\n<i>", "1. a\n   ```\n   <b>\n·b>\n   ```\n·i>"),
        ("    ```\n<b>", "    ```\n·b>"),
        ("```a`b\n<b>", "```a`b\n·b>"),
        ("```mermaid\ngraph TD\n```", "```·······\ngraph TD\n```"),
        ('<img src="/file=x">', '·img src=·/file=x">'),
    ],
)
def test_an_answer_keeps_its_form_and_loses_nothing(text, seen):
    assert plain(text) == seen
    assert read(formatted(text)) == text


def test_what_streams_only_grows():
    text = "Here is **one**:\n\n```python\ndef __init__(self): <b>\n```\n\n1. a <T>\n2. b_c\n"
    shown = [formatted(text[:end]) for end in range(0, len(text), 3)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))


def formulas(text):
    """The formulas that are set in a text, each with D where it stands on lines of its own."""
    drawn, found = formatted(text), []
    for kind in FORMULAS:
        for part in drawn.split(kind["left"])[1:]:
            formula, right, _ = part.partition(kind["right"])
            assert right, "what is opened is closed"
            found.append((drawn.index(part), f"{'D' if kind['display'] else ''}{formula}"))
    assert read(drawn) == text
    return [formula for _, formula in sorted(found)]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("so $x_1 < y$ and $a$.", ["x_1 < y", "a"]),
        ("$$E = mc^2$$ and $$ a $$", ["DE = mc^2", "D a "]),
        ("then \\(a_i\\) or \\[b\\]", ["a_i", "Db"]),
        ("$$\n\\int_0^1 x\n$$\nand", ["D\n\\int_0^1 x\n"]),
        ("1. a\n   \\[\n   a_b\n   \\]", ["D\n   a_b\n   "]),
        ("$2^{10}$ is $1024$, $2 + 2 = 4$", ["2^{10}", "1024", "2 + 2 = 4"]),
        ("| $a$ | b |\n|---|---|\n| $c$ | d |", ["a", "c"]),
        ("价格是$x$元", ["x"]),
    ],
)
def test_formulas_are_set(text, seen):
    assert formulas(text) == seen


@pytest.mark.parametrize(
    "text",
    [
        "from $5 to $10",
        "$5-$10, $5/$6 and $5.",
        "$5 or 5$ more",
        "US$5 and CA$6",
        "echo $HOME and $PATH or $HOME/bin:$PATH",
        "`$a$` and ``$b$``",
        "\\$a\\$ and \\\\(b\\\\)",
        "```sh\n$$\nx\n$$\necho $a$\n```",
        "$ a $ and $$ $$",
        "$$\nnever closed",
        "$$\n\nx\n$$",
    ],
)
def test_other_dollars_stay(text):
    assert formulas(text) == []


def test_the_script_knows_the_same_signs():
    script = Path(exact.__file__).parents[1].joinpath("exact.js").read_text(encoding="utf-8")
    assert f"\\u{{{ord(LAST):X}}}" in script
    assert f"FIRST = 0x{FIRST:X}" in script
