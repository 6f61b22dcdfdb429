"""The page speaks the visitor's language: the address decides, else the browser."""

from types import SimpleNamespace

import pytest
from gradio.context import LocalContext

from models.domain.errors import EmptyPrompt
from ui.shared import render
from ui.shared.language import chinese, language, say


@pytest.fixture
def visitor():
    """Makes the event of a visitor with an address and a browser."""

    def come(query="", accepts="en-GB"):
        LocalContext.request.set(
            SimpleNamespace(query_params={"lang": query} if query else {}, headers={"accept-language": accepts})
        )

    yield come
    LocalContext.request.set(None)


@pytest.mark.parametrize(
    ("query", "accepts", "spoken"),
    [
        ("", "en-GB,zh;q=0.5", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-CN", "en", "zh"),
        ("en", "zh-CN", "en"),
        ("<b>", "zh", "en"),
        ("", "", "en"),
    ],
)
def test_the_address_goes_before_the_browser(visitor, query, accepts, spoken):
    visitor(query, accepts)
    assert language() == spoken


def test_without_a_visitor_it_is_english():
    assert language() == "en"
    assert say("{count} tokens", count=3) == "3 tokens"


def test_errors_are_said_in_chinese(visitor):
    visitor("zh")
    assert chinese()["sentence"]["empty_prompt"] in render.error(EmptyPrompt())
