"""A model that thinks, on the page and over the API: its thought stands apart, and is neither copied nor sent back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import expect

from tests.conftest import ROOT, ServedApp, served

from .conftest import Visit, visits

sys.path.insert(0, str(ROOT / "tests" / "models"))  # for the helpers beside the models' tests

import tiny_thinker
from tiny_thinker import ANSWER, THOUGHT

MODEL = "tiny/thinker@fp32"


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    folder: Path = tmp_path_factory.mktemp("thinker")
    (folder / "models" / "tiny" / "thinker").mkdir(parents=True)
    tiny_thinker.build(folder / "models" / "tiny" / "thinker")
    places = {"PADDOCK_MODELS_DIR": str(folder / "models"), "PADDOCK_CACHE_DIR": str(folder / "cache")}
    yield from served(folder, PADDOCK_PRELOAD="0", PADDOCK_DEFAULT_VARIANT=MODEL, **places)


@pytest.fixture
def visit_thinker(thinker: ServedApp, browser: Any) -> Iterator[Visit]:
    yield from visits(thinker, browser)


def test_a_thought_is_folded_above_the_answer_and_left_out_of_what_is_copied(visit_thinker: Visit) -> None:
    visitor = visit_thinker("thinking_budget=40", permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    expect(page.locator("#thinking-budget input[type=number]")).to_have_value("40")
    visitor.box.fill("Hi")
    visitor.box.press("Enter")
    expect(visitor.answers).to_have_text([ANSWER])
    thought = page.locator("#chatbot .thought-group").first
    expect(thought).to_contain_text("thought 0.")
    expect(thought).to_contain_text("7 tokens")
    expect(thought).not_to_contain_text(THOUGHT)
    thought.get_by_role("button").first.click()
    expect(thought).to_contain_text(THOUGHT)
    page.locator('#chatbot [aria-label="Copy conversation"]').click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.startsWith('user'))")
    assert page.evaluate("navigator.clipboard.readText()") == f"user: Hi\n\nassistant: {ANSWER}"

    page.locator("#thinking-switch").get_by_text("Off", exact=True).click()
    visitor.box.fill("More")
    visitor.box.press("Enter")
    expect(visitor.answers).to_have_text([ANSWER, ANSWER])
    page.locator("#prompt-sent-group button").first.click()
    sent = f"<|user|>Hi<|assistant|>{ANSWER}<|user|>More<|assistant|><think></think>"
    expect(page.locator("#prompt-sent textarea")).to_have_value(sent)
    expect(page.locator("#chatbot .thought-group")).to_have_count(3)  # one thought, and the figures of two answers


def test_a_program_gets_thoughts_where_it_asks_for_them(thinker: ServedApp) -> None:
    client = Client(thinker.url, verbose=False, analytics_enabled=False)
    asked = {"message": "Hi", "variant": MODEL, "temperature": 0, "api_name": "/chat"}
    text, usage = client.submit(**asked, thinking_budget=3, thoughts=True).result(60)
    assert (text, usage["thought"], usage["thinking"], usage["thought_tokens"]) == (ANSWER, THOUGHT[:2], "budget", 7)
    text, usage = client.submit(**asked, thinking="off").result(60)
    assert (text, usage["thought_tokens"], "thought" in usage) == (ANSWER, 0, False)
    with pytest.raises(Exception, match="thinking is maybe, but it must be one of auto"):
        client.submit(**asked, thinking="maybe").result(60)
    client.close()
