"""A visitor's own Hub token serves them alone, and is found nowhere else."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from tests.conftest import ROOT, ServedApp, served

from .visitor import Visitor

sys.path.insert(0, str(ROOT / "tests/models/weights"))  # for the Hub that is made there

from fake_hub import FakeHub, Repo

READER, REVOKED = "hf_CanaryOfTheVisitor", "hf_CanaryThatWasRevoked"
GATED = "tiny-org/gated@fp32"
MAKE = "import sys, pathlib; from tests.models.conftest import build_tiny; build_tiny(pathlib.Path(sys.argv[1]))"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    server, folder = FakeHub(), tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, "-c", MAKE, str(folder)], cwd=ROOT, check=True)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server.repos["tiny-org/gated"] = Repo(files, gated=True, readers={READER})
    server.revoked = {REVOKED}
    yield server
    server.close()


@pytest.fixture(scope="module")
def gated_app(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    folder = tmp_path_factory.mktemp("gated")
    places = {"PADDOCK_CACHE_DIR": str(folder / "cache"), "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": hub.url}
    yield from served(folder, PADDOCK_PRELOAD="0", PADDOCK_HUB_IDS="1", HF_TOKEN="", **places)


def enter(browser: Any, app: ServedApp) -> Visitor:
    page = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB").new_page()
    return Visitor(page, app.url).open(f"variant={GATED}")


def continue_text(visitor: Visitor) -> None:
    visitor.page.get_by_role("tab", name="Complete", exact=True).click()
    visitor.text.fill("once upon a time")
    visitor.page.locator("#continue").click()


def found_in(app: ServedApp, folder: Path) -> list[str]:
    """Where the server's files, its processes and its config hold a canary."""
    canary = b"hf_Canary"
    found = [str(path) for path in folder.rglob("*") if path.is_file() and canary in path.read_bytes()]
    server = psutil.Process(app.process.pid)
    for process in (server, *server.children(recursive=True)):
        told = str(process.environ()) + str(process.cmdline())
        found += [f"process {process.pid}"] if canary.decode() in told else []
    config = urllib.request.urlopen(f"{app.url}/config", timeout=30).read()
    return found + (["config"] if canary in config else [])


def test_a_token_serves_its_visitor_and_is_found_nowhere(gated_app: ServedApp, hub: FakeHub, browser: Any) -> None:
    visitor = enter(browser, gated_app)
    page = visitor.page
    expect(visitor.card).to_contain_text("you are not signed in")
    visitor.card.get_by_role("button", name="Sign in").click()
    box = page.locator("#own-token input")
    expect(box).to_be_focused()
    expect(box).to_have_attribute("type", "password")

    box.fill(REVOKED)
    page.locator("#check-access").click()
    expect(page.locator("#access-said")).to_contain_text("The Hub does not accept your token")
    box.fill(READER)
    box.press("Enter")
    expect(visitor.card.locator(".card")).to_be_visible()
    page.locator("#check-access").click()
    expect(page.locator("#access-said")).to_contain_text("You may read tiny-org/gated")
    continue_text(visitor)
    expect(page.locator("#complete-stop")).to_be_enabled()
    expect(page.locator("#complete-stop")).to_be_disabled(timeout=60_000)
    assert READER in {asked.token for asked in hub.downloads("model.safetensors")}
    page.locator("#make-link").click()
    expect(page.locator("#link textarea")).to_have_value(re.compile("variant="))

    page.get_by_role("tab", name="Compare", exact=True).click()
    page.locator("#preset-modes").click()
    expect(page.locator("#candidates .candidate").nth(2)).to_be_visible()

    other = enter(browser, gated_app)  # the weights are on the server now
    expect(other.card).to_contain_text("you are not signed in")
    assert [c for c in other.complaints if "favicon" not in c] == []
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    for seen in (page.evaluate(kept), other.page.evaluate(kept), other.page.content(), page.content()):
        assert "hf_Canary" not in seen
    assert "hf_Canary" not in page.locator("#link textarea").input_value()
    assert found_in(gated_app, gated_app.log.parent) == []

    page.reload()
    visitor.card.get_by_role("button", name="Sign in").click()
    assert page.locator("#own-token input").input_value() == ""
    for one in (visitor, other):
        one.page.context.close()


def test_a_programs_token_serves_it_alone(gated_app: ServedApp) -> None:
    sent = {"x-hf-authorization": f"Bearer {READER}"}  # as gradio_client sends the token that it is given
    asked = {"model": GATED, "prompt": "once upon a time", "max_tokens": 4, "logprobs": 1}
    told = [httpx.get(f"{gated_app.url}/v1/models/{GATED}", headers=headers, timeout=60) for headers in (sent, {})]
    done = [
        httpx.post(f"{gated_app.url}/v1/completions", json=asked | more, headers=headers, timeout=60)
        for headers, more in ((sent, {}), (sent, {"stream": True}), ({}, {}))
    ]
    assert told[0].json()["id"] == GATED
    assert done[0].status_code == 200, done[0].text
    assert done[0].json()["usage"]["completion_tokens"] == 4
    assert "data: [DONE]" in done[1].text
    assert "error" not in done[1].text
    for refused in (told[1], done[2]):
        assert refused.status_code in (401, 403)
        assert "not signed in" in refused.json()["error"]["message"]
    for headers in (sent, {}):
        client = Client(gated_app.url, verbose=False, analytics_enabled=False, headers=headers)
        if headers:
            assert client.predict("once", GATED, max_new_tokens=4, api_name="/complete")[1]["new_tokens"] == 4
            assert client.predict(GATED, api_name="/plan")["fits"]
        else:
            with pytest.raises(AppError, match="not signed in"):
                client.predict("once", GATED, api_name="/complete")
        client.close()
    assert found_in(gated_app, gated_app.log.parent) == []
