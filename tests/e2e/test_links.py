"""A link brings all that was set, says so, and runs once if it asks to."""

from __future__ import annotations

import random
import re
import string

import pytest
from playwright.sync_api import expect

from tests.conftest import SMOLLM2
from ui.shared import url

from .conftest import Visit
from .visitor import ANSWER_MS


def test_a_link_brings_all_that_was_set_and_runs_once(visit_echo: Visit) -> None:
    long = "Tell me all about wheels and roads and maps. " * 60
    packed = url.write(url.PageState(prompt=long, tab="complete"))
    asked = f"{packed}&variant={SMOLLM2}&instruction=Say+it&question=Ask%3A&run=1&theme=dark"
    visitor = visit_echo(asked)
    expect(visitor.text).to_have_value(re.compile(f"^{long}.+"), timeout=ANSWER_MS)  # it ran
    assert "run" not in visitor.address()
    expect(visitor.page.locator("body")).to_have_class(re.compile("dark"))
    expect(visitor.page.locator("#complete-status")).not_to_contain_text("cannot be read")
    visitor.page.reload()
    expect(visitor.card.locator(".card")).to_be_visible()
    visitor.page.wait_for_timeout(1500)
    expect(visitor.text).to_have_value(re.compile(f"^{long}.+"))
    assert visitor.text.input_value().count("Tell me") == 120  # once, not again at the reload


@pytest.mark.slow
def test_a_link_to_a_comparison_has_its_options(visit_echo: Visit) -> None:
    visitor = visit_echo(
        f"tab=compare&variants={SMOLLM2}@bf16,{SMOLLM2}@nf4&options=blind,no-quality&distance=9&text=A+text"
    )
    page = visitor.page
    expect(page.locator("#candidates .candidate")).to_have_count(2)
    expect(page.locator("#compare-status")).to_have_text(
        "From the link: the candidates, the options of the comparison."
    )
    visitor.unfold("#compare-options")
    expect(page.locator("#compare-blind input")).to_be_checked()
    expect(page.locator("#compare-quality input")).not_to_be_checked()
    expect(page.locator("#compare-text textarea")).to_have_value("A text")
    expect(page.locator("#distance input[type=number]")).to_have_value("9")
    page.locator("#make-link").click()
    link = page.locator("#link textarea")
    expect(link).to_have_value(re.compile("options=blind%2Cno-quality"))
    expect(link).to_have_value(re.compile("distance=9"))


@pytest.mark.slow
def test_over_its_length_a_link_says_so_and_offers_a_file(visit_echo: Visit) -> None:
    visitor = visit_echo(f"variant={SMOLLM2}", permissions=["clipboard-read", "clipboard-write"])
    page, button, offered = visitor.page, visitor.page.locator("#make-link"), visitor.page.locator("#link-file")
    visitor.ask("Hello there")
    visitor.unfold("#instruct-parts")
    page.locator("#system textarea").fill("".join(random.Random(1).choices(string.ascii_letters, k=9000)))
    button.click()
    expect(button).to_have_text("Too long")
    expect(page.locator("#link textarea")).to_have_value(re.compile("system prompt has .* a link carries at most"))
    expect(page.locator("#open-share")).to_be_hidden()
    with page.expect_download() as saved:
        offered.click()
    assert "Hello there" in saved.value.path().read_text(encoding="utf-8")
    page.locator("#system textarea").fill("Be brief.")
    expect(button).to_have_text("Copy link")
    button.click()
    expect(button).to_have_text("Copied")
    expect(offered).to_be_hidden()
    expect(page.locator("#open-share")).to_be_visible()
