"""Who may use what is for the operator alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from models.domain.errors import WorkshopClosed
from models.domain.settings import Settings
from ui.shared.operator import require

HERE = {"host": "localhost:7860"}
KEY = Settings(operator_key="secret")


def request(client: str, headers: dict[str, str]) -> Any:
    return SimpleNamespace(client=SimpleNamespace(host=client), headers=headers)


def test_who_is_at_the_machine() -> None:
    require(Settings(), request("127.0.0.1", HERE), "")
    require(Settings(), request("::1", {"host": "[::1]:7860"}), None)
    require(Settings(), request("127.0.0.1", HERE | {"origin": "http://localhost:7860"}), "")


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("192.168.1.7", HERE),
        ("127.0.0.1", HERE | {"x-forwarded-for": "203.0.113.9"}),
        ("127.0.0.1", HERE | {"forwarded": "for=203.0.113.9"}),
        ("127.0.0.1", {"host": "abc.gradio.live"}),  # a tunnel
        ("127.0.0.1", {"host": "evil.example:7860"}),  # a page that gave its name to this address
        ("127.0.0.1", HERE | {"origin": "http://evil.example"}),
        ("127.0.0.1", HERE | {"origin": "null"}),
        ("127.0.0.1", HERE | {"origin": "http://localhost:8888"}),
        ("127.0.0.1", {}),
    ],
)
def test_who_is_not(client: str, headers: dict[str, str]) -> None:
    with pytest.raises(WorkshopClosed):
        require(Settings(), request(client, headers), "")


def test_the_key_decides_where_there_is_one() -> None:
    require(KEY, request("203.0.113.9", {"host": "paddock.example"}), "secret")
    for wrong in ("", None, "secre", "Secret", ["secret"]):
        with pytest.raises(WorkshopClosed):
            require(KEY, request("127.0.0.1", HERE), wrong)
