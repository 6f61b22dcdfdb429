"""The page by keyboard alone, and what axe finds in each of its forms once something was said."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.conftest import SMOLLM2

from .conftest import Visit

VARIANT = f"{SMOLLM2}@gguf"
COMPARED = f"variants={VARIANT},{SMOLLM2}@bf16&prompt=Hello&options=no-quality"
# Whether something tells the eye where the focus is: an outline, a shadow or a border of the element or its box.
SHOWS_FOCUS = """() => {
  const at = document.activeElement;
  const marked = (e) => {
    const style = e && getComputedStyle(e);
    return style && (style.outlineStyle !== "none" && style.outlineWidth !== "0px" || style.boxShadow !== "none");
  };
  const boxes = [at, at.parentElement, at.closest("label, .container, .block, .wrap, .input-container")];
  return boxes.some(marked) || at.matches("input, textarea") ? "" : at.outerHTML.slice(0, 120);
}"""


@pytest.mark.parametrize(
    ("query", "width", "scheme"),
    [
        (f"variant={VARIANT}", 1280, "light"),
        pytest.param(f"variant={VARIANT}&lang=zh", 390, "dark", marks=pytest.mark.slow),
        pytest.param(f"embed=1&variant={VARIANT}", 360, "light", marks=pytest.mark.slow),
        pytest.param(f"embed=answer&variant={VARIANT}&lang=zh", 360, "dark", marks=pytest.mark.slow),
        pytest.param(f"tab=compare&{COMPARED}&lang=zh", 1280, "light", marks=pytest.mark.slow),
        (f"tab=compare&{COMPARED}", 390, "dark"),
        pytest.param(f"embed=compare&{COMPARED}", 360, "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious_once_something_was_said(
    visit_echo: Visit, query: str, width: int, scheme: str
) -> None:
    visitor = visit_echo(query, color_scheme=scheme, viewport={"width": width, "height": 850})
    page = visitor.page
    if "compare" in query:
        expect(page.locator("#candidates .candidate")).to_have_count(2, timeout=30_000)
        page.locator("#compare-go").click()
        expect(page.locator("#compare-columns [data-press]").first).to_be_visible(timeout=30_000)
    else:
        visitor.send("Hello")
        expect(visitor.notes).to_have_count(1, timeout=30_000)
        figures = page.locator("#chatbot .thought-group [role=button]")
        expect(figures).to_have_attribute("aria-expanded", "false")
        figures.focus()
        page.keyboard.press("Enter")
        expect(figures).to_have_attribute("aria-expanded", "true")
    page.wait_for_timeout(600)  # what Gradio leaves out is mended a moment after it is drawn
    serious = [
        (found["id"], [node["html"][:200] for node in found["nodes"]])
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert not serious


def reach(page: Page, wanted: str, key: str = "Tab", most: int = 60) -> None:
    """Press a key until the focus is where it is wanted; at each stop it is seen where it is."""
    unseen: list[Any] = []
    for _ in range(most):
        page.keyboard.press(key)
        unseen += [found for found in [page.evaluate(SHOWS_FOCUS)] if found]
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", wanted):
            assert not unseen
            return
    raise AssertionError(f"{wanted} is not among {most} stops")


def test_a_chat_and_another_variant_by_keyboard(visit_echo: Visit) -> None:
    visitor = visit_echo(f"variant={VARIANT}")
    page = visitor.page
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(visitor.box).to_be_focused()
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    expect(visitor.answers).to_have_text("Hello", timeout=30_000)
    visitor.expect_ready()
    expect(visitor.box).to_be_focused()
    reach(page, "#chatbot .thought-group [role=button]", "Shift+Tab")  # the figures of the answer
    reach(page, "#open-history", "Shift+Tab")
    page.keyboard.press("Enter")
    reach(page, "#history [data-do=new]")
    page.keyboard.press("Enter")
    expect(visitor.questions).to_have_count(0)
    page.keyboard.press("Escape")

    page.locator(".skip").focus()
    reach(page, "#quantizations [data-press='nf4']")
    page.keyboard.press("Enter")
    visitor.expect_address(variant=f"{SMOLLM2}@nf4")


@pytest.mark.slow
def test_a_comparison_by_keyboard(visit_echo: Visit) -> None:
    visitor = visit_echo(f"tab=compare&{COMPARED}")
    page = visitor.page
    expect(page.locator("#candidates .candidate")).to_have_count(2, timeout=30_000)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    reach(page, "#compare-go")
    page.keyboard.press("Enter")
    expect(page.locator("#compare-status")).to_contain_text("2 of 2", timeout=30_000)
    seen: list[str] = []
    for _ in range(60):  # what can be done with an answer stands in the order of the columns
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.closest('#compare-columns [data-press]')?.dataset.press || ''")
        )
    marks = [press for press in dict.fromkeys(seen) if press]
    assert len(marks) >= 4, seen
    drawn = page.locator("#compare-columns [data-press]").evaluate_all(
        "(all) => all.filter((e) => e.checkVisibility()).map((e) => e.dataset.press)"
    )
    assert marks == [press for press in dict.fromkeys(drawn) if press in marks]
