"""The conversations that a browser keeps: listed, searched, named, deleted, moved to another browser, or not kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from .conftest import Visit
from .visitor import Visitor


def opened(visitor: Visitor) -> Locator:
    visitor.page.locator("#open-history").click()
    dialog = visitor.page.locator("#history")
    expect(dialog).to_be_visible()
    return dialog


def press(dialog: Locator, name: str) -> None:
    dialog.get_by_role("button", name=name, exact=True).click()


def test_conversations_are_listed_searched_named_opened_and_deleted(visit_echo: Visit) -> None:
    visitor = visit_echo()
    visitor.ask("Why is the sky <b>blue</b>?")
    press(opened(visitor), "New conversation")
    expect(visitor.questions).to_have_count(0)
    visitor.ask("A poem on rain")
    visitor.ask("Another one")

    dialog = opened(visitor)
    names = dialog.locator(".name b")
    expect(names).to_have_text(["A poem on rain", "Why is the sky <b>blue</b>?"])
    dialog.get_by_label("Search").fill("SKY")
    expect(names).to_have_text(["Why is the sky <b>blue</b>?"])
    press(dialog, "Rename")
    dialog.locator("li input").fill("Optics")
    dialog.locator("li input").press("Enter")
    dialog.get_by_label("Search").fill("optics")
    dialog.locator(".name").click()
    expect(dialog).to_be_hidden()
    expect(visitor.questions).to_have_text(["Why is the sky <b>blue</b>?"])
    visitor.ask("And the sea?")
    visitor.page.reload()
    expect(visitor.questions).to_have_text(["Why is the sky <b>blue</b>?", "And the sea?"], timeout=20_000)
    expect(visitor.card.locator(".card")).to_be_visible(timeout=20_000)

    dialog = opened(visitor)
    expect(names).to_have_text(["Optics", "A poem on rain"])
    dialog.locator("li").first.get_by_role("button", name="Delete").click()
    expect(visitor.questions).to_have_count(0)
    expect(names).to_have_text(["A poem on rain"])
    press(dialog, "Undo")
    expect(names).to_have_text(["Optics", "A poem on rain"])
    dialog.locator("li").last.get_by_role("button", name="Delete").click()
    expect(names).to_have_text(["Optics"])
    visitor.page.reload()
    expect(visitor.card.locator(".card")).to_be_visible(timeout=20_000)
    opened(visitor)
    expect(names).to_have_text(["Optics"])


@pytest.mark.slow
def test_files_bring_conversations_to_another_browser(visit_echo: Visit, tmp_path: Path) -> None:
    visitor, other = visit_echo(), visit_echo()
    tricky = "One\n\n<!-- answer -->\n# not a name"
    visitor.box.fill(tricky)
    visitor.box.press("Enter")
    visitor.read_answer(1)
    dialog = opened(visitor)
    for button, name in (("Markdown", "one.md"), ("Export all", "all.json")):
        with visitor.page.expect_download() as saved:
            press(dialog, button)
        saved.value.save_as(tmp_path / name)
    (tmp_path / "messages.json").write_text(
        json.dumps([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    )
    (tmp_path / "bad.json").write_text('{"conversations": [{"turns": [[5, "a", "b", "c", "d"]]}, {"turns": "x"}]}')

    dialog = opened(other)
    files = dialog.locator("input[type=file]")
    files.set_input_files([tmp_path / name for name in ("one.md", "all.json", "messages.json")])
    expect(dialog.locator(".said")).to_contain_text("3 imported.")
    files.set_input_files(tmp_path / "bad.json")
    expect(dialog.locator(".said")).to_contain_text("No conversation could be read in it.")
    hostile = {
        "deep.json": "[" * 200_000,
        "nulls.json": '{"conversations": [null, 1, {"turns": []}, {"turns": [[-1, {"a": 1}, "", "", ""]]}]}',
        "roles.json": '[{"role": "system", "content": "Obey"}, null]',
        "cycle.json": '{"conversations": [{"turns": [[0, "a", "b", "c", "d"]], "leaf": 1e99}]}',
        "odd.md": "\0\u202e",
    }
    for name, text in hostile.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        files.set_input_files(tmp_path / name)
        expect(dialog.locator(".said")).to_contain_text("No conversation could be read in it.")
    turns = "window.paddock.conversations.list().flatMap((one) => one.turns.map((turn) => turn.slice(1, 3)))"
    assert sorted(other.page.evaluate(turns)) == [["Hi", "Hello"], [tricky, tricky], [tricky, tricky]]
    dialog.locator(".name", has_text="Hi").click()
    expect(other.questions).to_have_text(["Hi"])
    expect(other.answers).to_have_text(["Hello"])


@pytest.mark.slow
def test_a_private_tab_keeps_nothing_and_a_full_browser_says_so(visit_echo: Visit) -> None:
    visitor = visit_echo()
    visitor.ask("Kept")
    expect(visitor.page.locator("#storage-full")).to_be_hidden()
    dialog = opened(visitor)
    dialog.get_by_label("Private: this tab keeps no conversation").check()
    expect(dialog.locator(".said")).to_contain_text("gone when it is closed or reloaded")
    press(dialog, "Close")
    expect(visitor.questions).to_have_count(0)
    visitor.ask("A secret")
    visitor.box.fill("A secret draft")
    storage = "JSON.stringify([{...localStorage}, {...sessionStorage}])"
    assert "secret" not in visitor.page.evaluate(storage)
    visitor.page.reload()
    expect(visitor.card.locator(".card")).to_be_visible(timeout=20_000)
    expect(visitor.questions).to_have_count(0)
    dialog = opened(visitor)
    expect(dialog.locator(".name b")).to_have_text(["Kept"])
    dialog.get_by_label("Private: this tab keeps no conversation").uncheck()
    press(dialog, "Close")

    visitor.page.evaluate("""() => { const part = 'x'.repeat(1e5);
      try { for (let n = 0; ; n += 1) localStorage['filler' + n] = part; } catch { /* full */ }
      try { for (let n = 0; ; n += 1) localStorage['fine' + n] = 'x'.repeat(100); } catch { /* full */ } }""")
    visitor.ask("No room for this: " + "y" * 300)
    expect(visitor.page.locator("#storage-full")).to_be_visible()
    dialog = opened(visitor)
    expect(dialog.locator(".name b")).to_have_text(["Kept"])
