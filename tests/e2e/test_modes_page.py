"""Modes on the page: what each takes before and after it is loaded, what fits instead, and what each is worth."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.conftest import SMOLLM2

from .conftest import Visit
from .visitor import Visitor

SHORT = "max_new_tokens=16&temperature=0"
LOADED = re.compile(r"Loaded in [\d.]+ s: weights (\d+) MB predicted, (\d+) MB measured")


def option(visitor: Visitor, dropdown: str, name: str) -> None:
    """Pick a line of a dropdown."""
    visitor.page.locator(f"{dropdown} input").click()
    visitor.page.get_by_role("option", name=re.compile(name)).click()


def loaded(visitor: Visitor) -> tuple[int, int]:
    """Megabytes predicted and measured, as the card says after an answer."""
    line = visitor.card.locator(".measured")
    expect(line).to_have_text(LOADED)
    found = LOADED.search(line.inner_text())
    assert found
    return int(found[1]), int(found[2])


def test_switches_modes_and_reads_what_each_takes(visit: Visit) -> None:
    visitor = visit(f"variant={SMOLLM2}@bf16&{SHORT}")
    held = visitor.page.locator("#held")
    expect(visitor.card).to_contain_text(
        re.compile(r"bf16 fits: \d+ MB must be free, [\d.]+ [MG]B of main memory available")
    )
    expect(visitor.card).to_contain_text("weights of the layers")
    assert visitor.ask("Name a colour.")
    predicted, measured = loaded(visitor)
    assert 250 < predicted < 290
    assert abs(measured - predicted) < 0.05 * predicted

    visitor.pick_quantization("nf4")
    expect(visitor.card).to_contain_text("nf4 fits: ")
    expect(visitor.card).to_contain_text("quantization constants")
    assert visitor.ask("Name an animal.")
    expect(visitor.notes.last).to_contain_text(f"{SMOLLM2}@nf4")
    smaller, smaller_measured = loaded(visitor)
    assert smaller < predicted / 2
    assert abs(smaller_measured - smaller) < 0.05 * smaller

    expect(held).to_contain_text(f"{SMOLLM2}@bf16")
    visitor.page.get_by_role("button", name=f"Eject {SMOLLM2}@nf4").click()
    expect(held).not_to_contain_text(f"{SMOLLM2}@nf4")
    expect(held).to_contain_text(f"{SMOLLM2}@bf16")
    expect(visitor.card.locator(".measured")).to_have_count(0)


@pytest.mark.slow
def test_a_model_in_use_is_not_ejected_and_the_page_says_why(visit: Visit) -> None:
    visitor = visit(f"variant={SMOLLM2}&max_new_tokens=1024&temperature=0")
    visitor.send("Write a very long story about a robot that travels around the world.")
    visitor.expect_streaming()
    other = visit()
    other.page.get_by_role("button", name=f"Eject {SMOLLM2}@gguf").click()
    expect(other.page.locator("#held-status [role=alert]")).to_contain_text("somebody uses it now")
    visitor.stop_button.click()
    visitor.expect_ready()


def test_what_does_not_fit_offers_what_does(visit: Visit) -> None:
    visitor = visit("variant=llama-2-70b-chat@bf16")
    expect(visitor.card).to_contain_text(re.compile(r"bf16 does not fit: 1\d\d\.\d GB must be free"))
    nearest = visitor.card.locator(".nearest button").first
    spelling = str(nearest.get_attribute("data-press"))
    nearest.click()
    expect(visitor.page.locator("#variant").locator("textarea, input")).to_have_value(spelling)
    expect(visitor.card.locator(f"[data-variant='{spelling}']")).to_contain_text(" fits: ")
    visitor.expect_address(variant=spelling)


def test_the_plan_follows_the_context_and_says_what_cannot_run(visit: Visit) -> None:
    visitor = visit(f"variant={SMOLLM2}@bf16")
    visitor.card.locator("details summary").click()
    cache = visitor.card.locator(".legend tr", has_text="KV cache")
    expect(cache).to_be_visible()
    before = cache.inner_text()
    visitor.page.locator("#context input[type=number]").fill("8192")
    visitor.page.locator("#context input[type=number]").press("Enter")
    expect(visitor.card).to_contain_text("with a context of 8,192 tokens")
    expect(cache).to_be_visible()  # what was opened is open in what was drawn anew
    assert cache.inner_text() != before
    refused = visitor.page.locator("#quantizations .refused")
    expect(refused.locator("li").first).to_be_hidden()
    refused.locator("summary").click()
    expect(refused.locator("li").first).to_be_visible()


@pytest.mark.slow
def test_a_link_to_measure_opens_compare_with_all_quantizations(visit: Visit) -> None:
    visitor = visit(f"tab=measure&variant={SMOLLM2}")
    page = visitor.page
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#compare-status")).to_contain_text("Measure is part of Compare: press Compare")
    expect(page.locator("#compare-prompt textarea")).to_have_value(re.compile("bicycle"))
    for mode in ("bf16", "nf4", "gguf"):
        expect(page.locator(f"#candidates [data-variant='{SMOLLM2}@{mode}']")).to_be_visible()
    expect(page.get_by_role("tab", name="Measure")).to_have_count(0)


def test_i_have_a_3060_what_fits_and_how_fast(visit: Visit) -> None:
    """Two presses: one for the hardware, one for the model; and what does not run here says so when it is asked."""
    visitor = visit()
    page, rows = visitor.page, visitor.page.locator("#quantizations tbody tr")
    visitor.pick_hardware("3060")
    expect(page.locator("#chip")).to_contain_text(re.compile(r"of 12\.\d GB"))
    page.locator("#model input").click()
    page.keyboard.type("Llama 3.1 8B Instruct")
    page.keyboard.press("Enter")
    expect(page.locator("#chip")).to_contain_text("Llama 3.1 8B Instruct · nf4")
    expect(rows.filter(has_text="bf16").locator(".fit")).to_have_attribute("title", "does not fit")
    expect(rows.filter(has_text="auto").locator(".fit")).to_have_attribute("title", "fits")
    expect(rows.filter(has_text="auto").locator(".estimate")).to_have_text(re.compile(r"≈ \d+–\d+"))
    expect(visitor.card).to_contain_text("Longest context that fits")
    expect(visitor.card).to_contain_text("of RTX 3060 12 GB available")
    visitor.pick_hardware("64 GB")
    expect(page.locator("#chip")).to_contain_text("· bf16 ·")
    expect(page.locator("#quantizations .estimate")).to_have_count(0)
    visitor.expect_address(hardware="64")
    page.reload()
    expect(page.locator("#hardware input")).to_have_value("GPU with 64 GB")
    visitor.pick_hardware("0 GB")
    expect(page.locator("#hardware-status [role=alert]")).to_contain_text("There is no hardware called “0”")


@pytest.mark.slow
def test_a_search_that_is_left_changes_nothing(visit: Visit) -> None:
    visitor = visit()
    page, box = visitor.page, visitor.page.locator("#model input")
    box.click()
    page.keyboard.type("llama 3.2 inst")
    shown = page.locator("#model [role=option]:visible")
    expect(shown).to_have_count(2)
    page.keyboard.press("Escape")
    expect(box).to_have_value("SmolLM2 135M Instruct")
    expect(shown).to_have_count(0)
    page.keyboard.type("gemma")
    visitor.box.click()
    expect(box).to_have_value("SmolLM2 135M Instruct")
    expect(page.locator("#chip")).to_contain_text("SmolLM2 135M Instruct")


@pytest.mark.slow
def test_theme_and_language_are_kept(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    dark = page.evaluate("document.body.classList.contains('dark')")
    page.locator("#theme").click()
    assert page.evaluate("document.body.classList.contains('dark')") != dark
    page.locator("#language").click()
    expect(page.locator("#make-link")).to_have_text("复制链接")
    assert page.evaluate("document.body.classList.contains('dark')") != dark, "it outlives a reload"
    page.locator("#language").click()
    expect(page.locator("#make-link")).to_have_text("Copy link")
    visitor.complaints.clear()  # the browser's own, about what a page that was left had asked for


@pytest.mark.slow
def test_the_link_is_copied_and_the_chip_opens_the_picker(visit: Visit) -> None:
    visitor = visit(SHORT, viewport={"width": 390, "height": 844}, permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    visitor.box.fill("Why?")
    page.locator("#make-link").click()
    expect(page.locator("#make-link")).to_have_text("Copied")
    assert "prompt=Why%3F" in page.evaluate("navigator.clipboard.readText()")
    expect(page.locator("#model input")).not_to_be_in_viewport()
    page.locator("#chip button").click()
    expect(page.locator("#model input")).to_be_in_viewport()
