"""The web component's script, as a page of another origin gets it."""

from __future__ import annotations

import asyncio

import httpx
from starlette.applications import Starlette

from models.domain import locks
from ui.embed.component import build_component
from ui.embed.share import KINDS, draw_share


def test_a_page_of_any_origin_gets_the_script() -> None:
    async def got() -> httpx.Response:
        transport = httpx.ASGITransport(app=Starlette(routes=build_component()))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/component.js", headers={"origin": "https://example.org"})

    reply = asyncio.run(got())
    assert reply.headers["content-type"].startswith("text/javascript")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert 'customElements.define("paddock-app"' in reply.text


def test_the_panel_offers_it_and_a_lock_only_where_links_are_signed() -> None:
    for can_lock in (True, False):
        panel = draw_share(can_lock)
        assert 'data-of="component"' in panel
        assert ('data-of="lock"' in panel) is can_lock


def test_every_form_that_is_offered_can_be_locked() -> None:
    assert tuple(KINDS) == locks.KINDS
