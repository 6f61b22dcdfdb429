"""Everybody may ask whether the server lives; its counts are for who has the operator's key."""

from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from models.domain.settings import Settings
from ui.watching import build_watching

COUNTS = {"runs": 1234, "variants": {"<script>alert(1)</script>": 2}, "finishes": {}}


def client(key):
    runtime = SimpleNamespace(settings=Settings(operator_key=key), counts=lambda: COUNTS)
    return TestClient(Starlette(routes=build_watching(runtime)))


def test_health():
    assert client("").get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("auth", [None, ("op", ""), ("op", "wrong"), ("key", "op"), ("op", "ke")])
def test_the_counts_need_the_key(auth):
    answer = client("key").get("/operator", auth=auth)
    assert (answer.status_code, "1,234" in answer.text) == (401, False)
    assert "Basic" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("header", ["Bearer key", "Basic !!!", "Basic", "Basic a2V5"])
def test_other_headers_do_not_open_it(header):
    assert client("key").get("/operator", headers={"authorization": header}).status_code == 401


def test_the_counts_are_a_page_and_json():
    page = client("key").get("/operator", auth=("anybody", "key"))
    assert "1,234" in page.text
    assert "<script>" not in page.text
    assert client("key").get("/operator?format=json", auth=("", "key")).json() == COUNTS


def test_without_a_key_there_is_no_such_page():
    assert client("").get("/operator", auth=("op", "")).status_code == 404
