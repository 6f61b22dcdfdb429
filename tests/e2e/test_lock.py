"""Links that fix what is asked, attacked over every door: altered, forged, left out, and with other values posted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from playwright.sync_api import expect

from models.domain.locks import locked
from tests.conftest import SMOLLM2, ServedApp, served

from .conftest import Visit, visits
from .queued import posted

KEY = "a key of the operator"
VARIANT = f"{SMOLLM2}@gguf"
LINK = f"/?variant={VARIANT}&system=Be+brief&temperature=0.37&seed=7&max_new_tokens=33&prompt=Hello"
FIXED: dict[str, Any] = {"variant": VARIANT, "system": "Be brief", "temperature": 0.37, "seed": 7, "max_new_tokens": 33}
REFUSED = "This link fixes {}, and something else was asked for."
ONLY = "This server answers nothing but what its operator's signed links ask for."
FORGED = "its signature does not belong to it"


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    env = {"PADDOCK_PRELOAD": "0", "PADDOCK_LINK_KEY": KEY}
    yield from served(tmp_path_factory.mktemp("locks"), "tests/e2e/echo_app.py", **env)


@pytest.fixture(scope="module")
def closed_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    env = {"PADDOCK_PRELOAD": "0", "PADDOCK_LINK_KEY": KEY, "PADDOCK_LOCKED_ONLY": "1"}
    yield from served(tmp_path_factory.mktemp("only"), "tests/e2e/echo_app.py", **env)


@pytest.fixture
def visit_open(open_app: ServedApp, browser: Any) -> Iterator[Visit]:
    yield from visits(open_app, browser)


@pytest.fixture
def visit_closed(closed_app: ServedApp, browser: Any) -> Iterator[Visit]:
    yield from visits(closed_app, browser)


def query_of(link: str, kind: str = "1") -> str:
    return urlsplit(locked(KEY, link, kind)).query


def asks(visitor: Any, press: Callable[[], None]) -> tuple[str, dict[str, Any]]:
    """The query string and the body that the page posts to Gradio's queue when it asks with “Hello”."""
    with visitor.page.expect_request(lambda sent: "Hello" in (sent.post_data or "")) as sent:
        press()
    visitor.expect_ready()
    return urlsplit(sent.value.url).query, json.loads(sent.value.post_data or "")


def leave(visitor: Any) -> None:
    """From then on somebody else reads what the page's session is sent."""
    assert not visitor.complaints
    visitor.page.goto("about:blank")
    visitor.complaints.clear()  # of requests that this ended


def test_a_locked_page_answers_and_its_posts_cannot_be_altered(visit_open: Visit) -> None:
    visitor = visit_open(query_of(LINK))
    page = visitor.page
    expect(page.locator("#embed-footer .locked")).to_be_visible()
    query, body = asks(visitor, lambda: visitor.box.press("Enter"))
    expect(visitor.answers).to_have_text("Hello", timeout=30_000)
    assert "signature=" in page.url, "the address stays as it was signed"
    leave(visitor)
    text, url = json.dumps(body), visitor.url
    assert "Hello" in posted(url, body, query), "what the page asked is answered when it is posted again"
    for part, was, other in (("the system prompt", "Be brief", "Be rude"), ("the sampling", "0.37", "0.9")):
        assert was in text
        for way in (query, ""):  # with the lock, and with the session alone
            assert REFUSED.format(part) in posted(url, json.loads(text.replace(was, other)), way), (part, way)

    visitor = visit_open(f"variant={SMOLLM2}@bf16&prompt=Hello")  # a page that fixes nothing, and its session
    _, body = asks(visitor, lambda: visitor.box.press("Enter"))
    leave(visitor)
    assert REFUSED.format("the variant") in posted(url, body, query)
    assert FORGED in posted(url, body, query.replace("brief", "rude"))
    assert '"Hello", "1 token' in posted(url, body), "where the server is open, the open page is open"


def test_a_forged_link_is_a_sentence_on_a_page_that_works(visit_open: Visit) -> None:
    for wrong in ("&signature=forged", "&temperature=2"):
        visitor = visit_open(query_of(LINK) + wrong)
        expect(visitor.status).to_contain_text("The link cannot be used: " + FORGED)
        visitor.send("Hello")
        expect(visitor.status).to_contain_text("The link cannot be used", timeout=30_000)
        expect(visitor.answers).to_have_count(0)
        expect(visitor.box).to_have_value("Hello")
    visitor = visit_open(query_of(LINK) + "&signature=forged&lang=zh-CN")
    expect(visitor.status).to_contain_text("无法使用该链接：签名与链接不符")


@pytest.mark.slow
def test_a_locked_comparison_keeps_its_candidates(visit_open: Visit) -> None:
    variants = f"{VARIANT},{SMOLLM2}@bf16"
    visitor = visit_open(query_of(f"/?variants={variants}&prompt=Hello&options=no-quality", "compare"))
    page = visitor.page
    expect(page.locator("#candidates .candidate")).to_have_count(2, timeout=30_000)
    for gone in ("#candidates .candidate button", ".add-candidate", "#compare-panels", "#compare-presets"):
        expect(page.locator(gone).first).to_be_hidden()
    with page.expect_request(lambda sent: "Hello" in (sent.post_data or "")) as sent:
        page.locator("#compare-go").click()
    expect(page.locator("#compare-status")).to_contain_text("2 of 2", timeout=30_000)
    altered = json.loads((sent.value.post_data or "").replace("@bf16", "@fp32"))
    leave(visitor)
    for way in (urlsplit(sent.value.url).query, ""):
        assert REFUSED.format("the variants") in posted(visitor.url, altered, way)


@pytest.mark.slow
def test_the_panel_signs_for_who_knows_the_key(visit_open: Visit, visit_echo: Visit) -> None:
    assert visit_echo().page.locator("#share .lock").count() == 0, "where there is no key there is nothing to switch"
    visitor = visit_open(f"variant={VARIANT}")
    page, panel = visitor.page, visitor.page.locator("#share")
    page.locator("#make-link").click()
    page.locator("#open-share").click()
    panel.locator("[data-of=lock]").check()
    expect(panel.locator("[data-of=link]")).to_have_value("")  # nothing that is not signed passes for a lock
    panel.locator("[data-of=key]").fill("a key of nobody")
    panel.get_by_role("button", name="Sign", exact=True).click()
    expect(panel.locator(".lock [role=status]")).to_contain_text("not the key")
    visitor.complaints.clear()  # of the refusal's status
    panel.locator("[data-of=key]").fill(KEY)
    panel.get_by_role("button", name="Sign", exact=True).click()
    signed = f"{visitor.url}/?{query_of(f'/?variant={VARIANT}')}"
    expect(panel.locator("[data-of=link]")).to_have_value(signed)
    expect(panel.frame_locator(".preview iframe").locator("#embed-footer .locked")).to_be_visible(timeout=30_000)
    assert KEY not in page.content()


def program(app: ServedApp, link: str = "") -> Callable[..., Any]:
    headers = {"X-Paddock-Link": link} if link else {}
    client = Client(app.url, verbose=False, analytics_enabled=False, headers=headers)

    def ask(*given: Any, api_name: str, **options: Any) -> Any:
        return client.submit(*given, api_name=api_name, **options).result(60)

    return ask


@pytest.mark.slow
def test_where_only_signed_links_are_answered_nothing_else_is(closed_app: ServedApp, visit_closed: Visit) -> None:
    link = query_of(LINK)
    visitor = visit_closed(f"variant={VARIANT}")
    query, body = asks(visitor, lambda: visitor.send("Hello"))
    expect(visitor.status).to_contain_text(ONLY, timeout=30_000)
    leave(visitor)
    for way in (query, "", "lock=0", "embed=1"):
        assert ONLY in posted(closed_app.url, body, way)
    assert FORGED in posted(closed_app.url, body, "lock=1&embed=1&signature=forged")
    assert REFUSED.format("the system prompt") in posted(closed_app.url, body, link)

    ask, signed = program(closed_app), program(closed_app, link)
    assert signed("Hello", api_name="/chat", **FIXED)[0] == "Hello"
    for api_name, given in (
        ("/chat", ("Hello",)),
        ("/complete", ("Hello",)),
        ("/score", ("Hello",)),
        ("/compare", ("Hello", [VARIANT, f"{SMOLLM2}@bf16"])),
    ):
        with pytest.raises(AppError, match="nothing but what its operator's signed links"):
            ask(*given, api_name=api_name)
        with pytest.raises(AppError, match="This link fixes"):
            signed(*given, api_name=api_name)
    for change, part in (
        ({"system": "Be rude"}, "the system prompt"),
        ({"temperature": 0.9}, "the sampling"),
        ({"variant": f"{SMOLLM2}@bf16"}, "the variant"),
        ({"thinking": "off"}, "thinking"),
    ):
        with pytest.raises(AppError, match=f"fixes {part}, and"):
            signed("Hello", api_name="/chat", **FIXED | change)
    with pytest.raises(AppError, match=FORGED):
        program(closed_app, link.replace("0.37", "0.9"))("Hello", api_name="/chat", **FIXED | {"temperature": 0.9})


def test_openais_door_and_mcp_hold_the_same(closed_app: ServedApp) -> None:
    link = query_of(LINK)
    said = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]
    asked: dict[str, Any] = {"model": VARIANT, "temperature": 0.37, "seed": 7, "max_tokens": 33, "messages": said}
    plain = openai.OpenAI(base_url=f"{closed_app.url}/v1", api_key="none", max_retries=0)
    by_query = plain.with_options(default_query=dict(httpx.QueryParams(link)))
    by_header = plain.with_options(default_headers={"X-Paddock-Link": link})
    for client in (by_query, by_header):
        assert client.chat.completions.create(**asked).choices[0].message.content == "Hello"
        rude = [said[0], {"role": "developer", "content": "Be rude"}, said[1]]
        with pytest.raises(openai.BadRequestError, match="fixes the system prompt"):
            client.chat.completions.create(**asked | {"messages": rude})
        with pytest.raises(openai.BadRequestError, match="fixes a conversation"):
            client.completions.create(model=VARIANT, prompt="Hello")
    with pytest.raises(openai.BadRequestError, match="nothing but what its operator"):
        plain.chat.completions.create(**asked)
    with pytest.raises(openai.BadRequestError, match="nothing but what its operator"):
        list(plain.chat.completions.create(**asked, stream=True))

    async def call(headers: dict[str, str]) -> Any:
        async with (
            httpx.AsyncClient(headers=headers) as http,
            streamable_http_client(f"{closed_app.url}/gradio_api/mcp/", http_client=http) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await session.call_tool("chat", {"message": "Hello", **FIXED})

    def told(headers: dict[str, str]) -> str:
        with ThreadPoolExecutor(1) as thread:  # the browser's loop runs in this one
            return str(thread.submit(asyncio.run, call(headers)).result().content[0].text)

    assert ONLY in told({})
    assert told({"X-Paddock-Link": link}).startswith(("Hello", "['Hello'"))
    assert ONLY in told({}), "a lock of one caller is no lock of the next"
