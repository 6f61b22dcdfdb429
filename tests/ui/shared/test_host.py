"""The page knows where it is found: a Space by its own name, any other server by what the visitor's browser says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ui.embed.share import draw_share
from ui.shared.host import address_of, hub_page


def asked(referer: str = "") -> Any:
    headers = {"referer": referer} if referer else {}
    return SimpleNamespace(headers=headers, request=SimpleNamespace(base_url="http://127.0.0.1:7860/"))


def test_a_server_is_where_the_visitors_browser_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("SPACE_HOST", "other.hf.space")  # of whatever started this server
    assert address_of(asked()) == "http://127.0.0.1:7860"
    assert address_of(asked("https://example.org/paddock/?variant=a&tab=compare#b")) == "https://example.org/paddock"
    assert hub_page() == ""
    assert "copy-hub" not in draw_share()


def test_a_space_knows_its_host_and_its_page_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SYSTEM": "spaces", "SPACE_ID": "me/paddock", "SPACE_HOST": "me-paddock.hf.space"}.items():
        monkeypatch.setenv(name, value)
    assert address_of(asked("https://elsewhere.example/")) == "https://me-paddock.hf.space"
    assert hub_page() == "https://huggingface.co/spaces/me/paddock"
    assert 'data-page="https://huggingface.co/spaces/me/paddock"' in draw_share(hub_page=hub_page())
