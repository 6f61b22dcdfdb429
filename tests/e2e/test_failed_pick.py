"""After a failed pick, or before one is through, nothing is answered by something that was not picked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.conftest import GEMMA, SMOLLM2

from .conftest import Visit
from .visitor import Visitor

UNFORESEEN = "Fail as nobody foresees."  # what echo_app fails at
REFUSED = re.compile("Nothing was run, because “.+” is not selected")
# Events that skip the queue are answered late, as on a slow line.
SLOW_LINE = """() => {
  const ask = window.fetch;
  window.fetch = async (...args) => {
    if (String(args[0]?.url ?? args[0]).includes("/run/")) await new Promise((wake) => setTimeout(wake, 1500));
    return ask(...args);
  };
}"""


def spelling(visitor: Visitor) -> Locator:
    return visitor.page.locator("#variant").locator("textarea, input")


def expect_refused(visitor: Visitor, words: str = "") -> None:
    """A message is refused, stays in the box, and nothing is answered."""
    answered = visitor.notes.count()
    visitor.send("Who are you?")
    alert = visitor.status.locator("[role=alert]")
    expect(alert).to_contain_text(REFUSED)
    expect(alert).to_contain_text(words)
    expect(visitor.box).to_have_value("Who are you?")
    visitor.expect_ready()
    assert visitor.notes.count() == answered


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        ("smollm2-135m-instrct@gguf", "There is no model called “smollm2-135m-instrct” here."),
        pytest.param(f"{SMOLLM2}@int9", "there is no such mode", marks=pytest.mark.slow),
        pytest.param("a b", "is not a variant", marks=pytest.mark.slow),
    ],
)
def test_a_failed_pick_answers_nothing_until_something_is_picked(visit_echo: Visit, tried: str, words: str) -> None:
    visitor = visit_echo(f"variant={SMOLLM2}@nf4")
    visitor.pick_spelling(tried)
    expect(visitor.card).to_contain_text(words)
    expect_refused(visitor, words)
    visitor.expect_address(variant=f"{SMOLLM2}@nf4")
    visitor.card.get_by_role("button", name=f"Use {SMOLLM2}@nf4").click()
    expect(visitor.card.locator(".card")).to_be_visible()
    expect(spelling(visitor)).to_have_value(f"{SMOLLM2}@nf4")
    visitor.ask("Who are you?")
    expect(visitor.notes).to_contain_text(f"{SMOLLM2}@nf4")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("variant=smollm2-135m-instrukt&prompt=Hi", "There is no model called “smollm2-135m-instrukt” here."),
        pytest.param("variant=../../etc/passwd", "is a path or an address", marks=pytest.mark.slow),
    ],
)
def test_a_link_to_what_cannot_be_used_picks_nothing_in_its_place(visit_echo: Visit, query: str, words: str) -> None:
    visitor = visit_echo(query)
    for place in (visitor.status.locator("[role=alert]"), visitor.card):
        expect(place).to_contain_text(words)
    expect(visitor.page.locator("#model input")).to_have_value("")
    expect_refused(visitor, words)
    visitor.card.get_by_role("button", name=f"Use {SMOLLM2}").click()
    expect(visitor.page.locator("#model input")).to_have_value(re.compile("SmolLM2 135M"))
    visitor.ask("Who are you?")


@pytest.mark.slow
def test_nothing_else_computes_after_a_failed_pick(visit_echo: Visit) -> None:
    visitor = visit_echo("tab=complete&prompt=Once")
    page = visitor.page
    visitor.pick_spelling("nope")
    expect(visitor.card).to_contain_text("There is no model called “nope” here.")
    page.locator("#continue").click()
    expect(page.locator("#complete-status")).to_contain_text(REFUSED)
    expect(visitor.text).to_have_value("Once")
    page.locator("#make-link").click()
    expect(page.locator("#link textarea")).to_have_value(REFUSED)
    page.get_by_role("tab", name="Compare").click()
    page.locator("#add-current").click()
    expect(page.locator("#compare-note")).to_contain_text(REFUSED)


def test_a_pick_that_is_not_through_answers_nothing(visit_echo: Visit) -> None:
    visitor = visit_echo()
    page = visitor.page
    spelling(visitor).fill(GEMMA)  # and no Enter
    expect_refused(visitor, "Press Enter in the variant box")
    spelling(visitor).press("Enter")
    expect(visitor.card).to_contain_text("base: continues text")
    visitor.ask("Who are you?")
    expect(visitor.notes.last).to_contain_text(f"{GEMMA}@gguf")

    page.evaluate(SLOW_LINE)
    page.locator("#model input").click()
    page.get_by_role("option", name=re.compile("^SmolLM2 135M Instruct", re.I)).click()
    expect_refused(visitor)
    expect(spelling(visitor)).to_have_value(SMOLLM2)
    visitor.ask("Who are you?")
    expect(visitor.notes.last).to_contain_text(f"{SMOLLM2}@gguf")


@pytest.mark.slow
def test_an_adapter_that_is_refused_says_so_at_the_upload_and_what_was_picked_still_answers(visit_echo: Visit) -> None:
    visitor = visit_echo(f"variant={SMOLLM2}@nf4")
    visitor.unfold("#more-adapters")
    files = [{"name": "adapter_config.json", "mimeType": "application/json", "buffer": b"{}"}]
    visitor.page.locator("#upload-adapter input[type=file]").set_input_files(files)
    expect(visitor.page.locator("#upload-refused [role=alert]")).to_contain_text("it takes two files")
    expect(visitor.card.locator(".card")).to_be_visible()
    visitor.ask("Who are you?")
    expect(visitor.notes).to_contain_text(f"{SMOLLM2}@nf4")


@pytest.mark.slow
def test_a_toy_is_left_in_one_press(visit_echo: Visit) -> None:
    visitor = visit_echo(f"variant={SMOLLM2}")
    expect(visitor.card).to_contain_text("This model is a toy")
    visitor.card.get_by_role("button", name="Use it: 1.1 GB").click()
    expect(spelling(visitor)).to_have_value("qwen2.5-coder-1.5b-instruct")
    expect(visitor.card).not_to_contain_text("toy")


def test_what_nobody_foresaw_leaves_the_page_ready_and_the_prompt_in_its_box(visit_echo: Visit) -> None:
    visitor = visit_echo(f"variant={SMOLLM2}@gguf")
    visitor.send(UNFORESEEN)
    expect(visitor.status.locator("[role=alert]")).to_contain_text("stopped with an error: OSError.")
    expect(visitor.box).to_have_value(UNFORESEEN)
    visitor.expect_ready()
    visitor.ask("Who are you?")
