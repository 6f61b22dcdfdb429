"""Nothing of a conversation is lost: not by an edit, a retry or Clear, not by a reload, not by a second tab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import ServedApp, served

from .conftest import Visit, visits
from .visitor import Visitor

FOCUSED = "document.activeElement === document.querySelector('#message textarea')"


@pytest.fixture(scope="module")
def streaming_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """The app whose model takes ten seconds for an answer."""
    yield from served(tmp_path_factory.mktemp("slow"), "tests/e2e/slow_app.py", PADDOCK_PRELOAD="0", STEP_S="0.5")


@pytest.fixture
def visit_streaming(streaming_app: ServedApp, browser: Any) -> Iterator[Visit]:
    yield from visits(streaming_app, browser)


def press_undo(visitor: Visitor) -> None:
    visitor.page.locator("#chat-notice").get_by_role("button", name="Undo").click()


@pytest.mark.slow
def test_every_version_of_a_question_stays_within_reach(visit_echo: Visit) -> None:
    visitor = visit_echo()
    visitor.ask("<b>One</b> $5")
    visitor.ask("Two")
    visitor.page.locator("#chatbot").get_by_role("button", name="Edit", exact=True).first.click()
    editor = visitor.page.locator("#chatbot textarea")
    expect(editor).to_have_value("<b>One</b> $5")
    editor.fill("Another")
    editor.press("Enter")
    visitor.read_answer(1)
    expect(visitor.questions).to_have_text(["Another"])

    switch = visitor.page.locator("#chatbot .versions")
    expect(switch).to_have_text("‹2/2›")
    switch.get_by_role("button", name="Earlier version").click()
    expect(visitor.questions).to_have_text(["<b>One</b> $5", "Two"])
    expect(visitor.answers).to_have_text(["<b>One</b> $5", "Two"])
    visitor.button("Retry").click()
    visitor.read_answer(2)
    expect(switch).to_have_text(["‹1/2›", "‹2/2›"])
    visitor.page.wait_for_timeout(500)  # what follows an answer has come, too
    visitor.page.reload()
    expect(visitor.questions).to_have_text(["<b>One</b> $5", "Two"], timeout=20_000)
    expect(switch).to_have_text(["‹1/2›", "‹2/2›"])

    visitor.button("Clear").click()
    expect(visitor.questions).to_have_count(0)
    press_undo(visitor)
    expect(visitor.questions).to_have_text(["<b>One</b> $5", "Two"])
    visitor.button("Undo").click()
    expect(visitor.questions).to_have_text(["<b>One</b> $5"])
    expect(visitor.box).to_have_value("Two")
    press_undo(visitor)
    expect(visitor.questions).to_have_text(["<b>One</b> $5", "Two"])


@pytest.mark.slow
def test_two_tabs_are_two_conversations(visit_echo: Visit) -> None:
    first = visit_echo()
    first.ask("In the first tab")
    second = Visitor(first.page.context.new_page(), first.url).open()
    expect(second.questions).to_have_count(0)
    second.ask("In the second tab")
    for visitor, question in ((first, "In the first tab"), (second, "In the second tab")):
        visitor.page.reload()
        expect(visitor.questions).to_have_text([question], timeout=20_000)
    second.page.close()
    third = Visitor(first.page.context.new_page(), first.url).open()
    expect(third.questions).to_have_text(["In the second tab"])  # of the tab that was closed


def test_what_streams_is_kept_and_what_is_typed_meanwhile(visit_streaming: Visit) -> None:
    visitor = visit_streaming()
    page = visitor.page
    expect(visitor.send_button).to_have_attribute("aria-label", "Send")
    visitor.send("A long answer, please")
    visitor.expect_streaming(characters=8)
    expect(visitor.stop_button).to_have_attribute("aria-label", "Stop")
    assert page.evaluate(FOCUSED)
    visitor.send("My next question")
    expect(page.locator("#chat-busy")).to_have_text("The answer is still streaming. Stop it with Escape, or wait.")
    expect(visitor.box).to_have_value("My next question")
    page.reload()
    expect(visitor.questions).to_have_text(["A long answer, please"], timeout=20_000)
    expect(visitor.answers).to_have_text(re.compile("slow slow"))
    expect(visitor.box).to_have_value("My next question")
    visitor.complaints.clear()  # the browser's own, about the stream that was cut
    expect(visitor.card.locator(".card")).to_be_visible(timeout=20_000)  # what is picked is there again

    visitor.box.press("Enter")
    visitor.expect_streaming()
    page.keyboard.press("Escape")
    visitor.expect_ready()
    expect(visitor.notes.last).to_contain_text("stopped")
    assert page.evaluate(FOCUSED)


def test_boxes_without_a_draft_keep_what_is_typed_before_drafts_are_opened(visit_echo: Visit) -> None:
    page = visit_echo().page
    assert page.evaluate("window.paddock.openDrafts({text: ''}, {}, '')") == [{"__type__": "update"}]
    page.evaluate("window.paddock.keepDrafts(['text'], ['a draft'])")
    assert page.evaluate("window.paddock.openDrafts({text: ''}, {}, '')") == ["a draft"]
