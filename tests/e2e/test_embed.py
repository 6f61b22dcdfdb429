"""The page inside of another page, of another origin: compact, answering, and leaving its host in peace."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.conftest import SMOLLM2, ServedApp, served

from .conftest import Visit

HOST = """<!doctype html><html lang="en"><title>Host</title><body style="margin:0;color-scheme:{scheme}">
<input id="own"><script>window.keys = []; addEventListener("keydown", (e) => keys.push(e.key));</script>
<iframe src="{source}" title="Paddock" width="{width}" height="{height}" style="border:0"></iframe><p>More text</p>"""
COMPONENT = """<!doctype html><html lang="en"><title>Host</title><body style="margin:0;background:#111">
<script async src="{source}"></script><div style="width:360px">
<paddock-app src="/?embed=answer&amp;prompt=Hello"></paddock-app></div><p>More text</p>"""
SIZES = "[document.documentElement.scrollHeight, document.documentElement.scrollWidth]"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def host(tmp_path: Path, browser: Any) -> Iterator[Any]:
    """Opens a page of another origin around a frame; Chromium denies it all storage there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    contexts = []

    def opened(
        source: str, width: int = 360, height: int = 600, scheme: str = "light", host: str = HOST
    ) -> tuple[Page, FrameLocator]:
        page = host.format(source=html.escape(source), width=width, height=height, scheme=scheme)
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        contexts.append(
            browser.new_context(viewport={"width": 1000, "height": 900}, locale="en-GB", color_scheme=scheme)
        )
        tab = contexts[-1].new_page()
        tab.goto(f"http://localhost:{server.server_port}/page.html")
        frame = tab.frame_locator("iframe")
        expect(frame.locator("#card .card")).to_be_attached(timeout=30_000)
        return tab, frame

    yield opened
    for context in contexts:
        context.close()
    server.shutdown()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_chat_answers_inside_of_another_page_and_leaves_it_in_peace(
    echo_app: ServedApp, host: Any, scheme: str
) -> None:
    page, frame = host(f"{echo_app.url}/?embed=1&variant={SMOLLM2}@gguf", scheme=scheme)
    for gone in ("#top", "#tabs [role=tablist]", "#quantizations", "#open-history", "#chip"):
        expect(frame.locator(gone).first).to_be_hidden()
    expect(frame.locator("#embed-footer b")).to_have_text(f"{SMOLLM2}@gguf")
    whole = frame.get_by_role("link", name="Open the whole page")
    expect(whole).to_have_attribute("href", f"{echo_app.url}/?variant={SMOLLM2}%40gguf")
    expect(whole).to_have_attribute("target", "_blank")
    inside = next(one for one in page.frames if one.url.startswith(echo_app.url))
    assert (inside.evaluate("document.body.classList.contains('dark')")) is (scheme == "dark")
    before = page.evaluate(SIZES)

    for asked in ("First question", "Second question"):
        frame.locator("#message textarea").fill(asked)
        frame.locator("#message textarea").press("Enter")
        expect(frame.locator("#chatbot [data-testid=bot]", has_text=asked)).to_be_visible(timeout=30_000)
        assert page.evaluate("document.activeElement.tagName") == "IFRAME", "the focus stays in the frame"
    assert page.evaluate(SIZES) == before
    assert inside.evaluate("document.documentElement.scrollWidth") <= 360
    assert inside.evaluate("document.documentElement.scrollHeight") <= 600
    assert inside.evaluate("document.cookie") == ""

    page.locator("#own").focus()
    page.wait_for_timeout(500)
    page.keyboard.type("ab")
    page.keyboard.press("Escape")
    assert page.evaluate("[document.activeElement.id, own.value, keys.join()].join(' ')") == "own ab a,b,Escape"


@pytest.mark.slow
def test_the_way_to_the_whole_page_takes_the_conversation_along(echo_app: ServedApp, host: Any) -> None:
    page, frame = host(f"{echo_app.url}/?embed=1&variant={SMOLLM2}@gguf")
    for asked in ("First question", "第二个问题"):
        frame.locator("#message textarea").fill(asked)
        frame.locator("#message textarea").press("Enter")
        expect(frame.locator("#chatbot [data-testid=bot]", has_text=asked)).to_be_visible(timeout=30_000)
        expect(frame.locator("#message .submit-button")).to_be_visible()  # the answer is whole
    page.wait_for_timeout(1500)  # it is kept a moment after it is shown
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="Open the whole page").click()
    for asked in ("First question", "第二个问题"):
        expect(opened.value.locator("#chatbot [data-testid=bot]", has_text=asked)).to_be_visible(timeout=30_000)
    expect(opened.value.locator("#top")).to_be_visible()


def test_the_component_is_a_frame_that_follows_what_is_around_it(echo_app: ServedApp, host: Any) -> None:
    page, frame = host(f"{echo_app.url}/component.js", host=COMPONENT)
    inside = next(one for one in page.frames if one.url.startswith(echo_app.url))
    assert inside.evaluate("document.body.classList.contains('dark')")
    before = page.evaluate(SIZES)
    frame.locator("#message .submit-button").click()
    expect(frame.locator("#chatbot [data-testid=bot]").first).to_have_text("Hello", timeout=30_000)
    assert page.evaluate(SIZES) == before
    assert page.evaluate("[window.paddock, document.body.className, location.search].join()") == ",,", (
        "it leaves its host be"
    )
    page.locator("paddock-app").evaluate("(app) => { app.setAttribute('theme', 'light'); }")
    expect(frame.locator("body:not(.dark) #card .card")).to_be_attached(timeout=30_000)


def test_one_prompt_is_ready_to_press_and_a_comparison_is_compact(echo_app: ServedApp, host: Any) -> None:
    _, frame = host(f"{echo_app.url}/?embed=answer&prompt=What+is+a+fox%3F", height=420)
    expect(frame.locator("#message textarea")).to_have_value("What is a fox?")
    frame.locator("#message .submit-button").click()
    expect(frame.locator("#chatbot [data-testid=bot]").first).to_have_text("What is a fox?", timeout=30_000)
    expect(frame.locator("#message")).to_be_hidden()

    listed = f"{SMOLLM2}@gguf,{SMOLLM2}@bf16"
    _, frame = host(f"{echo_app.url}/?embed=compare&prompt=Hello&variants={listed}", width=480, height=720)
    expect(frame.locator("#candidates .candidate")).to_have_count(2, timeout=30_000)
    expect(frame.get_by_role("button", name="Compare", exact=True)).to_be_in_viewport()
    expect(frame.locator("#tabs [role=tablist]").first).to_be_hidden()


def test_the_panel_writes_the_snippet_and_shows_it(visit_echo: Visit) -> None:
    visitor = visit_echo(f"variant={SMOLLM2}@gguf", permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    visitor.box.fill('Say "hi" & bye')
    page.locator("#make-link").click()
    page.locator("#open-share").click()
    panel = page.locator("#share")
    panel.get_by_label("One prompt and its answer").check()
    preview = panel.frame_locator(".preview iframe")
    expect(preview.locator("#message textarea")).to_have_value('Say "hi" & bye', timeout=30_000)
    panel.get_by_role("button", name="Copy").first.click()
    snippet = page.evaluate("navigator.clipboard.readText()")
    made = page.evaluate(
        "(html) => { const at = document.createElement('div'); at.innerHTML = html; return at.firstChild.src; }",
        snippet,
    )
    assert made == panel.locator("[data-of=link]").input_value()
    assert "embed=answer" in made
    panel.get_by_role("button", name="Close").click()
    expect(panel.locator("iframe")).to_have_count(0)


def test_the_operator_says_who_may_frame_the_page(tmp_path: Path, echo_app: ServedApp) -> None:
    def policies(url: str) -> list[str]:
        return [
            httpx.get(f"{url}{path}").headers.get("content-security-policy", "")
            for path in ("/", "/healthz", "/operator")
        ]

    assert policies(echo_app.url) == ["frame-ancestors *", "frame-ancestors 'none'", "frame-ancestors 'none'"]
    some = {"PADDOCK_FRAME_ANCESTORS": "'self' https://example.org", "PADDOCK_PRELOAD": "0"}
    for app in served(tmp_path, "tests/e2e/echo_app.py", **some):
        assert policies(app.url)[0] == "frame-ancestors 'self' https://example.org"
