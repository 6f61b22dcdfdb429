"""The list of models: filters leave what is looked for, stay while others are picked, and reach under a thumb."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import Visit

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
LINES = "#model [role=option]:not(.free)"


def shown(page: Page) -> list[str]:
    """The titles that are left, once the list is open."""
    return page.locator(LINES).filter(visible=True).locator("span:first-child").all_inner_texts()


def test_filters_leave_what_is_looked_for(visit_echo: Visit) -> None:
    page = visit_echo("hardware=8").page
    page.locator("#model input").click()
    every = len(shown(page))
    assert every > 60
    page.locator("#model [data-filter=family]").select_option("Qwen3")
    page.locator("#model [data-filter=kind]").select_option("instruct")
    assert shown(page) == [f"Qwen3 {size}" for size in ("0.6B", "1.7B", "4B", "8B", "14B", "30B-A3B")]
    page.locator("#model [data-filter=fits]").click()
    expect(page.locator("#model output")).to_have_text(f"3 / {every}")
    page.locator("#model [data-filter=size]").select_option("1–4B")
    assert shown(page) == ["Qwen3 1.7B", "Qwen3 4B"]
    expect(page.locator("#model .group").filter(visible=True)).to_have_text("Qwen3")
    page.locator(LINES, has_text="Qwen3 1.7B").first.click()
    expect(page.locator("#variant").locator("textarea, input")).to_have_value("qwen3-1.7b")
    page.locator("#model input").click()
    assert shown(page) == ["Qwen3 1.7B", "Qwen3 4B"], "filters stay"
    page.locator("#model [data-filter=family]").select_option("gpt-oss")
    expect(page.locator("#model .empty")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#model .popup")).to_be_hidden()


@pytest.mark.slow
def test_filters_on_a_phone_in_chinese(visit_echo: Visit) -> None:
    page = visit_echo("lang=zh-CN", **PHONE).page
    page.evaluate("window.paddock.openPicker()")
    page.locator("#model input").click()
    page.get_by_role("button", name="无需申请").click()
    assert not any("Llama" in title for title in shown(page) if "Tiny" not in title)
    for control in page.locator("#model [data-filter]").all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 40
        assert box["x"] + box["width"] <= 390
    expect(page.locator("#model output")).to_have_text(re.compile(r"\d+ / \d+"))


@pytest.mark.slow
def test_a_type_of_kv_cache_is_picked_below_the_quantizations(visit_echo: Visit) -> None:
    visitor = visit_echo("variant=smollm2-135m-instruct@gguf")
    visitor.pick_quantization("gguf/kv8")
    expect(visitor.card).to_contain_text("gguf/kv8 fits: ")
    expect(visitor.page.locator("#variant").locator("textarea, input")).to_have_value("smollm2-135m-instruct@gguf/kv8")
    visitor.pick_quantization("gguf-q8_0/kv8")  # the cache stays with another file
    expect(visitor.card).to_contain_text("gguf-q8_0/kv8 fits: ")
    visitor.pick_quantization("gguf-q8_0")
    expect(visitor.card).to_contain_text("gguf-q8_0 fits: ")
