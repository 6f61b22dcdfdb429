"""The script that has to run before Gradio's own stands at the beginning of a page, and nowhere else."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ui.shared.early import EarlyScript

PAGE = "<html><head><title>猫</title></head><head></html>"


@pytest.fixture(scope="module")
def client():
    routes = [
        Route("/", lambda request: HTMLResponse(PAGE), methods=["GET", "POST"]),
        Route("/text", lambda request: PlainTextResponse(PAGE)),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(EarlyScript, script="go('快')")]))


def test_a_page_begins_with_the_script(client):
    answer = client.get("/")
    assert answer.text == PAGE.replace("<head>", "<head><script>go('快')</script>", 1)
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_anything_else_passes_as_it_is(client):
    assert client.get("/text").text == PAGE
    assert client.post("/").text == PAGE
    assert client.head("/").headers["content-length"] == str(len(PAGE.encode()))
