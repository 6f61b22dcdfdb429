"""The Train tab in a browser: rows are looked at, an adapter is trained, a reload changes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Page, expect

from tests.conftest import ROOT, ServedApp, served

from .conftest import Visit, visits
from .test_chinese_page import PHONE, english

pytestmark = pytest.mark.slow  # three processes that load torch
MAKE = "import sys, pathlib; from tests.models.conftest import build_tiny; build_tiny(pathlib.Path(sys.argv[1]))"
SLOW_MS = 120_000
WORDS = ["fox", "crow", "tags", "time", "once", "upon", "was", "there", "and", "naive"]


@pytest.fixture(scope="module")
def tiny_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    """The app with a model that learns in milliseconds."""
    folder = tmp_path_factory.mktemp("train")
    subprocess.run([sys.executable, "-c", MAKE, str(folder / "models/me/tiny")], cwd=ROOT, check=True)
    yield from served(
        folder,
        "tests/e2e/training_app.py",
        PADDOCK_PRELOAD="0",
        PADDOCK_THREADS="1",
        PADDOCK_DEFAULT_VARIANT="me/tiny@fp32",
        PADDOCK_MODELS_DIR=str(folder / "models"),
        PADDOCK_CACHE_DIR=str(folder / "cache"),
    )


@pytest.fixture
def visit_tiny(tiny_app: ServedApp, browser: Any) -> Iterator[Visit]:
    yield from visits(tiny_app, browser)


def open_train(page: Page) -> None:
    page.get_by_role("tab", name="Train", exact=True).first.click()


def test_an_adapter_is_trained_and_compared_with_its_base(visit_tiny: Visit, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"say {word}", "completion": word}) + "\n" for word in WORDS))
    page = visit_tiny().page
    open_train(page)
    expect(page.locator("#train-base")).to_contain_text("me/tiny@fp32")
    page.locator("#train-look").click()
    expect(page.locator("#train-status .error")).to_contain_text("the rows to learn from")
    page.locator("#train-file input[type=file]").set_input_files(rows)
    expect(page.locator("#train-file")).to_contain_text("rows")
    page.locator("#train-look").click()
    learned = page.locator(".train-rows li").nth(1).locator("mark")
    expect(learned.first).to_contain_text("crow", timeout=SLOW_MS)
    expect(page.locator(".train-memory")).to_contain_text("that are free")

    page.locator("#train-how > .label-wrap").click()
    expect(page.locator("#train-targets textarea, #train-targets input").first).to_be_visible()
    for name, value in (("epochs", "1000"), ("learning-rate", "0.02"), ("rank", "4"), ("batch", "4")):
        page.locator(f"#train-{name} input").fill(value)
        page.locator(f"#train-{name} input").press("Tab")
    page.locator("#train-start").click()
    expect(page.locator("#train-status .error")).to_contain_text("the name of the adapter")
    page.locator("#train-name textarea, #train-name input").first.fill("mine")
    page.locator("#train-start").click()
    card = page.locator(".train-card[data-name=mine]")
    expect(card).to_have_attribute("data-status", "running")
    expect(page.locator(".train-curves .point").nth(1)).to_be_attached(timeout=SLOW_MS)
    expect(card).to_contain_text("tokens/s")

    page.reload()
    open_train(page)
    expect(card).to_have_attribute("data-status", "running")
    page.locator("#train-cards [data-press='stop:mine']").click()
    expect(card).to_have_attribute("data-status", "stopped")
    page.locator("#train-cards [data-press='go-on:mine']").click()
    page.locator("#train-cards [data-press='finish:mine']").click(timeout=SLOW_MS)
    expect(card).to_have_attribute("data-status", "finished", timeout=SLOW_MS)
    expect(card).to_contain_text("perplexity")

    card.locator("[data-press='save:mine']").click()
    expect(page.locator("#workshop-save-go")).to_be_visible()
    expect(page.locator("#workshop-save textarea, #workshop-save input").first).to_have_value(
        re.compile("/me/tiny-mine$")
    )
    expect(page.locator("#chip")).to_contain_text("tiny · fp32 + mine")
    open_train(page)
    card.locator("[data-next=compare]").click()
    expect(page.locator("#candidates .candidate")).to_have_count(2)
    expect(page.locator("#compare-prompt textarea")).to_have_value(re.compile("^say [a-z]+$"))  # a row that is held out


def test_who_comes_through_a_proxy_may_not(visit_tiny: Visit) -> None:
    page = visit_tiny(extra_http_headers={"X-Forwarded-For": "203.0.113.9"}).page
    open_train(page)
    page.locator("#train-start").click()
    expect(page.locator("#train-status .error")).to_contain_text("for who runs this server")
    expect(page.locator(".train-card")).to_have_count(0)


def test_it_is_chinese_on_a_phone(visit_tiny: Visit) -> None:
    page = visit_tiny("tab=train", **PHONE).page
    page.locator("#train-how > .label-wrap").click()
    expect(page.locator("#train-targets textarea, #train-targets input").first).to_be_visible()
    page.locator("#train-start").click()
    expect(page.locator("#train-status .error")).to_contain_text("用于学习的数据")
    assert not [line for line in english(page).splitlines() if "fp16, gptq" not in line]  # names of modes


def test_a_program_begins_follows_and_stops_one(tiny_app: ServedApp, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("Frage,Antwort\n" + "".join(f"say {word},{word}\n" for word in WORDS))
    client = Client(tiny_app.url, verbose=False, analytics_enabled=False)
    given = {"epochs": 1000, "rank": 4, "learning_rate": 0.02, "batch": 4}
    with pytest.raises(AppError, match="epochs is many"):
        client.predict("me/tiny@fp32", str(rows), "by-program", given | {"epochs": "many"}, api_name="/train")
    columns = {"Frage": "question", "Antwort": "answer"}
    begun = client.predict("me/tiny@fp32", str(rows), "by-program", given, columns, api_name="/train")
    assert (begun["status"], begun["variant"]) == ("running", "me/tiny@fp32+by-program")
    end = time.monotonic() + SLOW_MS / 1000
    while len((seen := client.predict("by-program", api_name="/training"))["looks"]) < 2:
        assert time.monotonic() < end, seen
        time.sleep(0.2)
    assert seen["columns"] == columns
    assert seen["learning"][-1][0] == seen["step"]
    assert seen["steps"] > seen["step"]
    listed = {each["name"]: each for each in client.predict(api_name="/trainings")}
    assert listed["by-program"]["status"] == "running"
    client.predict("by-program", "stop", api_name="/training")
    while (seen := client.predict("by-program", api_name="/training"))["status"] == "running":
        assert time.monotonic() < end, seen
        time.sleep(0.2)
    assert (seen["status"], seen["resumable"]) == ("stopped", True)

    told = subprocess.run(
        [sys.executable, "-m", "models", "trainings", "by-program", "--remove", "--json"],
        cwd=ROOT,
        env=os.environ | {"PADDOCK_CACHE_DIR": str(tiny_app.log.parent / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout)["looks"] == seen["looks"]
    with pytest.raises(AppError, match="no training called by-program"):
        client.predict("by-program", api_name="/training")
