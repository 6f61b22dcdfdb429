"""An answer as Markdown or as it was written, its first difference and its loop marked. Nothing of it is markup.

Places are characters of the answer. They are marked by a character that is not in it, which survives both ways of
drawing, and is then replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

FREE = range(0xE000, 0xF8FF)  # no font has signs of its own there
# What an answer may not do: fetch, hide an address, or lose characters. Indented text is text, as in the chat.
OFF = ("link", "image", "autolink", "html_inline", "html_block", "entity", "escape", "reference", "lheading", "code")
# What makes a list, a heading, a fence or a table of a line, which a mark must not part from it; and what may stand
# before a word in a line.
_LINE = re.compile(r"[ \t]*(?:[-+*>#]+[ \t]+|\d+[.)][ \t]+|(?:`{3}|~{3})[^\n]*\n|\|?[ \t]*:?-+:?[ \t|:-]*\n)+")
_BEFORE = re.compile(r"[\s*_`~|]*")
_WORD = r"((?:&[#\w]+;|[^\s<&]){1,40})"


@lru_cache(maxsize=128)
def drawn(
    text: str, raw: bool, differs: int | None = None, title: str = "", loops: int | None = None, loop: str = ""
) -> str:
    """The text as HTML; `title` explains the word at `differs`, and `loop` stands before `loops`."""
    free = (chr(code) for code in FREE if chr(code) not in text)
    marks: list[tuple[int, str, Callable[[str], str]]] = []
    if differs is not None:
        marks.append((differs, next(free), lambda html: _word_marked(html, title)))
    if loops is not None:
        marks.append((loops, next(free), lambda html: f'<b class="loop">{escape(loop)}</b>{html}'))
    html = (_raw if raw else _markdown)(_marked(text, marks, raw))
    for _, sign, make in marks:
        html = _replaced(html, sign, make)
    return html


def _marked(text: str, marks: Sequence[tuple[int, str, Any]], raw: bool) -> str:
    """The text with a sign at the word of each place, behind what makes a block of Markdown there."""
    for place, sign, _ in sorted(marks, reverse=True):
        at = _before_word(text, place, raw)
        text = text[:at] + sign + text[at:]
    return text


def _before_word(text: str, place: int, raw: bool) -> int:
    """The place itself where nothing but white space and Markdown follows."""
    at, before = place, -1
    while at != before:
        before = at
        line = _LINE.match(text, text.rfind("\n", 0, at) + 1)
        at = max(at, line.end()) if line and not raw else at
        found = re.compile(r"\s*").match(text, at) if raw else _BEFORE.match(text, at)
        at = found.end() if found else at
    return at if at < len(text) else place


def _replaced(html: str, sign: str, make: Callable[[str], str]) -> str:
    """The sign and the word behind it, where one is, made anew; Markdown may have dropped it with its line."""
    found = re.search(f"{sign}{_WORD}?", html)
    if found is None:
        return html
    return html[: found.start()] + make(found[1] or "") + html[found.end() :]


def _word_marked(word: str, title: str) -> str:
    kind = "" if word else ' class="ends"'
    return f'<mark{kind} title="{escape(title)}">{word}</mark>'


def _raw(text: str) -> str:
    return f'<div class="raw">{escape(text)}</div>'


def _markdown(text: str) -> str:
    return f'<div class="md">{_parser().render(text)}</div>'


@cache
def _parser() -> MarkdownIt:
    """Only tags without attributes that an answer could choose; headings are no part of the page's outline."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(list(OFF))
    rules: dict[str, Callable[..., str]] = {
        "heading_open": lambda *_: '<p class="heading">',
        "heading_close": lambda *_: "</p>\n",
        "list_item_open": lambda renderer, tokens, at, *_: _item(tokens[at].info),
        "fence": lambda renderer, tokens, at, *_: f"<pre><code>{escape(tokens[at].content)}</code></pre>\n",
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


def _item(number: str) -> str:
    """The number that was written, not the one that would follow."""
    return f'<li value="{int(number)}">' if number.isdecimal() else "<li>"
