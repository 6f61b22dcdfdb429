"""The page by keyboard and for screen readers."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import Visit


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_axe_finds_nothing_serious(visit: Visit, scheme: str) -> None:
    visitor = visit(color_scheme=scheme)
    for tab in ("Chat", "Compare", "Complete", "Train", "Workshop"):
        visitor.page.get_by_role("tab", name=tab, exact=True).click()
        expect(visitor.page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
        visitor.page.wait_for_timeout(500)  # what Gradio leaves out is mended a moment after it is drawn
        violations = Axe().run(visitor.page).response["violations"]
        serious = [
            (found["id"], [node["html"][:200] for node in found["nodes"]])
            for found in violations
            if found["impact"] in ("serious", "critical")
        ]
        assert not serious, tab


def test_the_first_stop_leads_past_the_picker(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    skip = page.locator(".skip")
    stops = "a[href], button, input, textarea, [tabindex='0']"
    assert page.locator(stops).first.evaluate("(stop) => stop.className") == "skip"
    skip.focus()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(visitor.box).to_be_focused()


@pytest.mark.slow
def test_accordions_and_lists_tell_their_state(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    head = page.locator("#sampling > .label-wrap")
    expect(head).to_have_attribute("aria-expanded", "false")
    head.click()
    expect(head).to_have_attribute("aria-expanded", "true")
    box = page.locator("#model input")
    expect(box).to_have_attribute("aria-expanded", "false")
    box.focus()
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    second = page.locator("#model [role=option]").nth(1)
    expect(box).to_have_attribute("aria-activedescendant", second.get_attribute("id") or "")
    page.keyboard.press("Tab")
    expect(box).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#model [role=listbox]")).to_be_hidden()
