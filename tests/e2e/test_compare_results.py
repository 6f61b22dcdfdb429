"""What is made of a comparison on the page: marks, a table that sorts, columns that come back, go and run again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from models.domain.messages import Message, Usage
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.file import from_json, to_json
from models.domain.results.measured import Measured

from .conftest import Visit
from .test_compare_page import Comparer, listed

SPEEDS = {"bf16": 17.0, "nf4": 28.0, "gguf": 87.0, "int8": 9.0}
LONG = "A bicycle stays upright. " + "\n\n".join(f"{n}. It is so, for the reason numbered {n}." for n in range(1, 30))
LOOP = "It begins. " + "It stays upright because it is upright. " * 12


def comparison() -> Comparison:
    """Four variants with figures, of which one goes on and on and one repeats itself."""
    answers = {"bf16": "It is **steered**.", "nf4": LONG, "gguf": LOOP, "int8": "It is <b>not</b>."}
    columns = []
    for mode, answer in answers.items():
        name = f"smollm2-135m-instruct@{mode}"
        bytes_ = round(3e9 / SPEEDS[mode])
        figures = Measured(
            name, mode == "bf16", bytes_, bytes_, decode_tokens_per_s=SPEEDS[mode], perplexity=12.0, bits_per_byte=1.0
        )
        turns = (Message("user", "Why?"), Message("assistant", answer))
        usage = Usage(name, new_tokens=9, decode_tokens_per_s=SPEEDS[mode], finish="stop")
        columns.append(Compared(name, name, "instruct", "<Why?>", turns, answer, usage, figures, tokenizer="t"))
    reference = "smollm2-135m-instruct@bf16"
    return Comparison(("Why?",), tuple(columns), "2026-01-02T03:04:05+00:00", reference=reference, text="A text.")


@pytest.fixture
def opened(visit: Visit, tmp_path: Path) -> Comparer:
    """The page with that comparison opened from a file."""
    file = tmp_path / "comparison.json"
    file.write_text(to_json(comparison()), encoding="utf-8")
    visitor = listed(visit, prompt="")
    visitor.page.locator("#compare-files input[type=file]").set_input_files(file)
    expect(visitor.columns).to_have_count(4)
    return visitor


def sentence(page: Page) -> str:
    return page.locator("#compare-results .conclusion > p").inner_text()


def names(visitor: Comparer) -> list[str]:
    return [text.split()[0] for text in visitor.rows.locator("th").all_inner_texts()]


def test_answers_are_marked_the_table_sorts_and_all_of_it_survives_a_reload(opened: Comparer, tmp_path: Path) -> None:
    page = opened.page
    assert "gguf stays within 5% of bf16" in sentence(page)
    assert "Your prompt was not judged." in sentence(page)
    opened.columns.nth(0).get_by_role("button", name="Right").click()
    opened.columns.nth(2).get_by_role("button", name="Wrong").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compare-results .conclusion > p")).to_contain_text("1 of 2 answers marked right: bf16.")
    assert "gguf stays" not in sentence(page)  # its answer is wrong
    expect(opened.rows.nth(2).locator("td").last).to_have_text("0/1")

    heading = page.locator("#compare-results").get_by_role("button", name="decode")
    heading.click()
    expect(page.locator("#compare-results th[aria-sort=descending]")).to_contain_text("decode")
    assert names(opened) == ["gguf", "nf4", "bf16", "int8"]
    expect(heading).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#compare-results th[aria-sort=ascending]")).to_contain_text("decode")
    assert names(opened) == ["int8", "bf16", "nf4", "gguf"]

    page.reload()
    expect(opened.columns).to_have_count(4, timeout=30_000)
    assert sentence(page).startswith("1 of 2 answers marked right: bf16.")
    expect(opened.columns.nth(2).get_by_role("button", name="Wrong")).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as download:
        opened.press("json")
    download.value.save_as(tmp_path / "marked.json")
    again = from_json((tmp_path / "marked.json").read_text(encoding="utf-8"))
    assert [column.marks for column in again.columns] == [("right",), (), ("wrong",), ()]


@pytest.mark.slow
def test_the_best_one_is_written_down_for_other_programs(opened: Comparer) -> None:
    panel = opened.page.locator("#snippets")
    opened.press("elsewhere")
    expect(panel.locator("h3")).to_have_text(["llama.cpp", "Ollama"])  # gguf, of the four
    expect(panel.locator("code").first).to_contain_text("llama-server --hf-repo")


@pytest.mark.slow
def test_columns_stand_in_one_line_and_show_as_much_as_is_wanted(opened: Comparer) -> None:
    page = opened.page
    boxes = opened.columns.evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())")  # at one moment
    assert len({round(box["y"]) for box in boxes}) == len({round(box["height"]) for box in boxes}) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    wide = page.locator("#compare-results .wide")
    assert wide.evaluate("(element) => element.scrollWidth - element.clientWidth") <= 0

    more = opened.columns.nth(1).locator(".more")
    expect(opened.columns.nth(0).locator(".more")).to_be_hidden()
    before = opened.columns.nth(1).locator(".clip").evaluate("(element) => element.clientHeight")
    more.click()
    expect(more).to_have_text("less")
    assert opened.columns.nth(1).locator(".clip").evaluate("(element) => element.clientHeight") > 2 * before
    opened.columns.nth(3).get_by_text("Details").click()
    opened.columns.nth(3).get_by_role("button", name="Right").click()
    expect(page.locator("#compare-results .conclusion > p")).to_contain_text("1 of 1 answers")
    expect(more).to_have_text("less")  # what was opened stays so
    expect(opened.columns.nth(3).locator(".compare-figures")).to_be_visible()

    expect(opened.columns.nth(2).locator(".loop")).to_have_text("repeats itself from here")
    expect(opened.columns.nth(0).locator(".answer strong")).to_have_text("steered")
    expect(opened.columns.nth(3).locator(".answer")).to_have_text("It is <b>not</b>.")
    page.get_by_role("button", name="Raw").click()
    expect(opened.columns.nth(0).locator(".answer")).to_have_text("It is **steered**.")


@pytest.mark.slow
def test_columns_go_come_back_and_are_weighed_for_other_hardware(opened: Comparer) -> None:
    page = opened.page
    opened.columns.nth(3).get_by_role("button", name="Remove").click()
    expect(opened.columns).to_have_count(3)
    expect(opened.rows).to_have_count(3)
    page.locator("#compare-columns").get_by_role("button", name="Undo").click()
    expect(opened.columns).to_have_count(4)
    fits = opened.rows.nth(0).locator("td").nth(1)
    expect(fits).to_have_text("yes")
    opened.pick_hardware("1 GB")
    expect(fits).to_have_text(re.compile("no|tight"))


def test_a_page_that_is_taken_away_opens_without_the_app_and_the_best_runs_elsewhere(
    opened: Comparer, browser: Any, tmp_path: Path
) -> None:
    page = opened.page
    page.locator("#compare-elsewhere").click()
    expect(page.locator("#snippets h3")).to_have_text(["llama.cpp", "Ollama"])
    expect(page.locator("#snippets code").first).to_contain_text("Why?")
    page.locator("#snippets [data-do=close]").click()
    with page.expect_download() as download:
        page.locator("#compare-page").click()
    saved = tmp_path / "paddock.html"
    download.value.save_as(saved)
    for scheme, back in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(12, 10, 9)")):
        away = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 390, "height": 800})
        alone, asked = away.new_page(), []
        alone.on("request", lambda request, asked=asked: asked.append(request.url))
        alone.on("console", lambda message, asked=asked: asked.append(message.text))
        alone.goto(saved.as_uri())
        assert asked == [saved.as_uri()]
        expect(alone.locator("article")).to_have_count(4)
        expect(alone.locator("svg")).to_have_count(3)
        expect(alone.locator("article").last).to_contain_text("It is <b>not</b>.")
        assert alone.evaluate("getComputedStyle(document.body).backgroundColor") == back
        assert alone.evaluate("document.documentElement.scrollWidth") == 390
        away.close()
