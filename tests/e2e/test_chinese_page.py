"""A Chinese visitor on a phone reads Chinese everywhere: controls, plans, figures, errors."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from models.domain.catalog import load_catalog
from tests.conftest import GEMMA

from .conftest import Visit

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "locale": "zh-CN",
    "has_touch": True,
    "is_mobile": True,
}
SHORT = "max_new_tokens=12&temperature=0"
# Three words: a name has fewer, or a number in it.
ENGLISH = re.compile(r"[A-Za-z]{2,}(?:(?:[ ,;:]+|\. )[A-Za-z]{2,}){2,}")
NAMES = [name for card in load_catalog().values() for name in (card.title, card.licence)]

# Every text that can be seen, with what inputs show where they are empty and what hovering says; no model's answer and
# no text of the visitor's own, no text that is the same in every language.
SEEN = """() => {
  const apart = "script, style, code, pre, [data-testid=bot]:not(:has(.thought-group)), [data-testid=user]";
  const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(apart);
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) if (seen(walker.currentNode.parentElement)) texts.push(walker.currentNode.data);
  for (const element of document.querySelectorAll("[title], [placeholder]"))
    if (seen(element)) texts.push(element.title, element.placeholder);
  return texts.filter((text) => text?.trim());
}"""


def english(page: Page) -> str:
    """The texts on the page that are English sentences, one a line."""

    def without_names(text: str) -> str:
        for name in NAMES:
            text = text.replace(name, "")
        return text

    return "\n".join(dict.fromkeys(text for text in page.evaluate(SEEN) if ENGLISH.search(without_names(text))))


def open_picker(page: Page) -> None:
    page.locator("#chip button").click()
    expect(page.locator("#quantizations")).to_be_in_viewport()


def unfold_all(page: Page) -> None:
    """Open whatever can be opened, so that it is seen."""
    page.evaluate("""() => {
      for (const box of document.querySelectorAll("details")) box.open = true;
      for (const head of document.querySelectorAll("button.label-wrap:not(.open)")) head.click();
    }""")
    page.wait_for_timeout(300)


@pytest.mark.slow
def test_no_english_sentence_is_seen_while_a_variant_is_picked_and_asked(visit: Visit) -> None:
    visitor = visit(SHORT, **PHONE)
    page = visitor.page
    assert english(page) == ""
    visitor.ask("你好")
    visitor.notes.locator("[role=button]").click()
    expect(visitor.notes).to_contain_text("结束原因")
    expect(visitor.status).to_contain_text("上下文")
    unfold_all(page)
    assert english(page) == ""
    open_picker(page)
    unfold_all(page)
    visitor.pick_spelling(f"{GEMMA}@gguf")
    expect(visitor.card).to_contain_text("Gemma terms of use")
    unfold_all(page)
    assert english(page) == ""


def test_errors_say_in_chinese_what_happened_and_what_to_do(visit: Visit) -> None:
    visitor = visit("temperature=9", **PHONE)
    alert = visitor.status.locator("[role=alert]")
    expect(alert).to_have_text("temperature 为 9.0，但应为 0 到 2 之间的数。 请修改后重新发送。")
    open_picker(visitor.page)
    visitor.pick_spelling("smollm2-135m-instrct@gguf")
    expect(visitor.card).to_contain_text("这里没有名为“smollm2-135m-instrct”的模型。")
    expect(visitor.card).to_contain_text("是否想选 smollm2-135m-instruct")
    assert english(visitor.page) == ""


@pytest.mark.slow
def test_a_model_that_speaks_no_chinese_says_so_before_it_answers(visit: Visit) -> None:
    visitor = visit(SHORT, **PHONE)
    note = visitor.page.locator("#language-note")
    expect(note).to_contain_text("SmolLM2 135M Instruct 主要以英语训练；用中文回答的效果会很差。")
    note.get_by_role("button", name="Qwen2.5 0.5B Instruct").click()
    expect(visitor.page.locator("#chip")).to_contain_text("Qwen2.5 0.5B Instruct")
    expect(note).to_be_empty()


def test_no_english_sentence_is_seen_in_the_other_tabs(visit: Visit) -> None:
    for tab in ("compare", "complete"):
        visitor = visit(f"tab={tab}", **PHONE)
        if tab == "compare":  # the list that was kept may be read after the card is drawn
            expect(visitor.page.locator("#candidates")).to_contain_text("还没有候选")
        unfold_all(visitor.page)
        assert english(visitor.page) == ""
