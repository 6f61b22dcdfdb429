"""Gradio's files are read and compressed once; what is no whole file of them passes as it is."""

import os

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ui.shared.assets import STAYS, KeptAssets

SCRIPT = b"go();" + os.urandom(100_000).hex().encode()  # longer than a part of a stream


@pytest.fixture
def asked(tmp_path):
    """A client, and the paths that reached the app."""
    (tmp_path / "core-Bdx9080F.js").write_bytes(SCRIPT)
    seen = []

    async def answer(request):
        seen.append(request.path_params["path"])
        file = tmp_path / request.path_params["path"]
        return FileResponse(file) if file.exists() else Response(status_code=404)

    routes = [Route("/assets/{path:path}", answer)]
    middleware = [Middleware(KeptAssets, folder=tmp_path), Middleware(GZipMiddleware)]
    return TestClient(Starlette(routes=routes, middleware=middleware)), seen


def test_a_file_is_asked_for_once_for_each_encoding(asked):
    client, seen = asked
    with_gzip = {"accept-encoding": "gzip"}
    for _ in range(2):
        answer = client.get("/assets/core-Bdx9080F.js", headers=with_gzip)
        assert answer.content == SCRIPT
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["cache-control"] == STAYS[1].decode()
    assert seen == ["core-Bdx9080F.js"]
    assert int(answer.headers["content-length"]) < len(SCRIPT)
    client.get("/assets/core-Bdx9080F.js", headers={"accept-encoding": "br"})
    assert len(seen) == 2


def test_modules_of_the_page_itself_name_its_origin(asked):
    client, seen = asked
    for _ in range(2):
        client.get("/assets/core-Bdx9080F.js", headers={"accept-encoding": "gzip", "origin": "http://testserver"})
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/assets/core-Bdx9080F.js", {"range": "bytes=0-3"}, 206),
        ("/assets/core-Bdx9080F.js", {"origin": "https://elsewhere.example"}, 200),
        ("/assets/core-Bdx9080F.js", {"accept-encoding": "identity"}, 200),
        ("/assets/nothing-Bdx9080F.js", {}, 404),
    ],
)
def test_anything_else_is_asked_for_each_time(asked, path, headers, status):
    client, seen = asked
    for _ in range(2):
        answer = client.get(path, headers={"accept-encoding": "gzip"} | headers)
        assert answer.status_code == status
        assert "cache-control" not in answer.headers
    assert len(seen) == 2
