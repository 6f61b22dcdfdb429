"""A comparison belongs to the server: its page may reload, come back and go, and what is pressed meanwhile holds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import ServedApp, served

from .conftest import Visit, visits
from .test_compare_page import BF16, GGUF, JSON, NF4, Comparer, listed, without_quality

AWAY_S = 8
STEPS = 19
KEPT = "(localStorage.getItem('paddock-comparison') || '')"
# Keeps by how much the page jumps, and what jumped from where.
WATCH_SHIFTS = """() => {
  window.shifts = [];
  const moved = ({ node, previousRect: was, currentRect: is }) =>
    `${node?.id || node?.className || node?.nodeName} ${was.top} ${was.height} to ${is.top} ${is.height}`;
  new PerformanceObserver((list) => list.getEntries().filter((entry) => !entry.hadRecentInput).forEach((entry) =>
    window.shifts.push({ value: entry.value, at: Math.round(entry.startTime), moved: entry.sources.map(moved) }))
  ).observe({ type: "layout-shift" });
}"""


@pytest.fixture(scope="module")
def slow_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """The app whose model takes four seconds for an answer; a run without its page ends soon."""
    env = {"PADDOCK_PRELOAD": "0", "PADDOCK_AWAY_S": str(AWAY_S), "STEP_S": "0.2"}
    yield from served(tmp_path_factory.mktemp("runs"), "tests/e2e/slow_app.py", **env)


@pytest.fixture
def visit_slow(slow_app: ServedApp, browser: Any) -> Iterator[Visit]:
    yield from visits(slow_app, browser)


def begin(visit: Visit, *variants: str) -> Comparer:
    visitor = without_quality(listed(visit, *variants, prompt="Go on."))
    visitor.press("go")
    expect(visitor.columns.first.locator(".answer")).to_have_text(re.compile("slow slow"))
    return visitor


@pytest.mark.slow
def test_a_run_goes_on_while_its_page_reloads_and_what_is_pressed_meanwhile_stays(
    visit_slow: Visit, slow_app: ServedApp
) -> None:
    before = slow_app.log.read_text().count("computing")
    visitor = begin(visit_slow, GGUF, NF4, BF16)
    page, first = visitor.page, visitor.columns.first
    expect(visitor.columns.nth(1).locator(".answer")).to_have_text(re.compile("slow"))
    first.get_by_role("button", name="Right").click()
    page.get_by_role("button", name="Raw").click()
    expect(first.locator(".raw")).to_have_text(re.compile(f"(slow ?){{{STEPS}}}"))
    page.locator("#compare-results").get_by_role("button", name="variant").click()
    expect(page.locator("#compare-results th[aria-sort=ascending]")).to_contain_text("variant")
    assert "finished" not in visitor.columns.last.inner_text(), "all that was while the run went on"

    page.reload()
    expect(page.locator("#compare-stop")).to_be_enabled(timeout=30_000)
    visitor.complaints.clear()  # Gradio's own, of the stream that the reload cut
    other = listed(visit_slow, prompt="")  # another browser sees nothing of it
    expect(other.columns).to_have_count(0)
    expect(visitor.said).to_contain_text("Done: 3 of 3 answered", timeout=30_000)
    assert [answer.count("slow") for answer in visitor.answers_of_all()] == [STEPS] * 3
    assert slow_app.log.read_text().count("computing") == before + 3, "nothing was computed twice"
    expect(first.get_by_role("button", name="Right")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#compare-results .conclusion > p")).to_contain_text("1 of 1 answers marked right")


@pytest.mark.slow
def test_a_run_that_was_come_back_to_is_stopped_and_one_that_nobody_comes_back_to_ends(
    visit_slow: Visit, slow_app: ServedApp
) -> None:
    visitor = begin(visit_slow, GGUF, NF4, BF16, JSON)
    page = visitor.page
    page.reload()
    expect(visitor.columns.first.locator(".answer")).to_have_text(re.compile("(slow ){4}"), timeout=30_000)
    visitor.press("stop")
    expect(visitor.said).to_contain_text("Stopped: 0 of 4 answered")

    before = slow_app.log.read_text().count("computing")
    visitor.press("go")
    expect(visitor.columns.last).to_contain_text("Waits for its turn")
    expect(visitor.columns.first.locator(".answer")).to_have_text(re.compile("slow slow"))
    kept = page.evaluate(f"{KEPT}.length")
    page.wait_for_function(f"{KEPT}.length > {kept}")  # what has streamed, too
    page.goto("about:blank")
    time.sleep(AWAY_S + 6)  # all would have taken 16 seconds
    assert slow_app.log.read_text().count("computing") < before + 4, "the last of its answers was not begun"
    page.goto(f"{slow_app.url}/?tab=compare")
    expect(page.locator("#compare-results")).to_contain_text("This comparison was interrupted", timeout=30_000)
    visitor.complaints.clear()
    expect(visitor.columns.first.locator(".answer")).to_have_text(re.compile("slow"))


@pytest.mark.slow
def test_nothing_jumps_on_a_phone_while_columns_come_and_end(visit_slow: Visit) -> None:
    visitor = without_quality(
        listed(visit_slow, GGUF, NF4, prompt="Go on.", viewport={"width": 390, "height": 844}, has_touch=True)
    )
    page = visitor.page
    page.evaluate(WATCH_SHIFTS)
    visitor.compare("Done: 2 of 2 answered")
    page.wait_for_timeout(500)
    shifts = page.evaluate("window.shifts")
    assert sum(shift["value"] for shift in shifts) < 0.05, shifts
