"""A comparison as one file: whole, escaped, and with nothing that a browser would fetch or run."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from models.domain.messages import Message
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.measured import Measured
from tests.models.domain.results.sample import COMPARISON, FULL
from ui.compare.static_page import static_page

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:1) ![y](http://a/b) \"'"
TAGS = (
    "html head meta title style body main h1 h2 h3 p section div table thead tbody tr th td small i details summary dl",
    "dt dd figure figcaption svg rect text circle path article pre code li ul ol strong em blockquote hr br s",
)
FETCHING = ("src", "href", "srcset", "action", "data", "background", "poster")


class Reader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words += data


def measured(variant: str, size: int, quality: float, **more: Any) -> Compared:
    figures = Measured(variant, measured_bytes=size, predicted_bytes=size, perplexity=quality, decode_tokens_per_s=9.5)
    return replace(FULL, variant=variant, resolved=variant, figures=figures, parts_at_character=None, **more)


WHOLE = replace(
    COMPARISON, columns=(measured("m@bf16", 269_000_000, 12.0), measured("m@nf4", 90_000_000, 12.3)), reference="m@bf16"
)


def test_it_has_the_answers_the_table_the_charts_and_how_it_was_made() -> None:
    html = static_page(WHOLE, 0.05)
    read = Reader(html)
    assert html.count("<svg") >= 3
    for words in ("m@bf16", "m@nf4", "Because.", "Why?", "269 MB", "Be brief.", "2026-01-02T03:04:05+00:00", "12.30"):
        assert words in read.words, words
    assert "smallest" in read.words or "smaller" in read.words
    alone = Reader(static_page(COMPARISON, 0.05))  # of two columns, one failed
    assert "There was not enough memory" in alone.words
    assert "svg" not in alone.tags


def test_nothing_of_an_answer_is_markup_and_nothing_is_fetched() -> None:
    turns = (Message("system", HOSTILE), Message("user", HOSTILE), Message("assistant", HOSTILE))
    hostile = measured("m@int8", 1, 13.0, answer=HOSTILE, turns=turns, prompt=HOSTILE, thought="SECRET")
    failed = Compared("m@nf4", error=HOSTILE)
    sound = measured("m@bf16", 269_000_000, 12.0)
    whole = Comparison(
        (HOSTILE,),
        (sound, hostile, failed),
        WHOLE.created,
        HOSTILE,
        text=HOSTILE,
        versions={"a": HOSTILE},
        machine={HOSTILE[:90]: HOSTILE},
    )
    html = static_page(whole, 0.05)
    read = Reader(html)
    assert read.tags <= set(" ".join(TAGS).split())
    assert not [
        name for name in read.attributes if name.startswith("on") or name in ("src", "href", "srcset", "action")
    ]
    assert "url(" not in html
    assert "@import" not in html
    assert len(re.findall("</style>", html)) == 1
    assert "default-src 'none'" in html
    assert "SECRET" not in html
