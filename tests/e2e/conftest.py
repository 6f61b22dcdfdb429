"""Visitors for the tests of the page: each has their own browser context, and may leave no error in the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import ServedApp, served

from .visitor import Visitor

Visit = Callable[..., Visitor]
expect.set_options(timeout=25_000)  # a busy machine is slow to answer even what is not computed


@pytest.fixture
def visit(app: ServedApp, browser: Any) -> Iterator[Visit]:
    """Opens the page as a new visitor: `visit("variant=...", **options of the context)`."""
    yield from visits(app, browser)


@pytest.fixture(scope="session")
def echo_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """The app whose model answers with the question."""
    yield from served(tmp_path_factory.mktemp("echo"), "tests/e2e/echo_app.py", PADDOCK_PRELOAD="0")


@pytest.fixture
def visit_echo(echo_app: ServedApp, browser: Any) -> Iterator[Visit]:
    """As `visit`, on the app whose model answers with the question."""
    yield from visits(echo_app, browser)


def visits(app: ServedApp, browser: Any) -> Iterator[Visit]:
    visitors: list[Visitor] = []

    def enter(query: str = "", **options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        visitors.append(Visitor(context.new_page(), app.url))
        return visitors[-1].open(query)

    yield enter
    complaints = [line for visitor in visitors for line in visitor.complaints]
    for visitor in visitors:
        visitor.page.context.close()
    assert not complaints
