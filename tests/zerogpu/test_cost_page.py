"""What a press will cost stands beside the button, and is what is declared."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import browser  # noqa: F401 - a fixture

from .conftest import TINY
from .space import Space, visitor_token

ABOUT = re.compile(r"About (\d+) s of GPU quota")


def test_the_cost_is_said_before_the_press_and_declared_with_it(space: Space, browser: Any) -> None:  # noqa: F811
    context = browser.new_context(locale="en-GB", extra_http_headers={"x-ip-token": visitor_token()})
    page = context.new_page()
    page.goto(f"{space.url}/?variant={TINY}@bf16&max_new_tokens=64")
    line = page.locator("#chat-cost")
    expect(line).to_contain_text(ABOUT, timeout=30_000)
    expect(line).to_contain_text("of your account")
    page.wait_for_timeout(1000)  # until the page is as its link says
    first = int(ABOUT.search(line.inner_text())[1])  # type: ignore[index]
    page.locator("#message textarea").fill("Hello")
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#chatbot .thought-group")).to_have_count(1, timeout=60_000)
    assert [int(asked["durationSeconds"]) for asked in space.api.seen("/schedule")] == [first]

    logged = [json.loads(line) for line in space.log.read_text().splitlines() if line.startswith('{"kind": "answer"')]
    assert logged[-1]["gpu_declared_s"] == first
    assert 0 < logged[-1]["gpu_used_s"] <= first
    assert "Hello" not in str(logged)

    page.get_by_role("tab", name="Complete", exact=True).click()
    expect(page.locator("#complete-cost")).to_contain_text(ABOUT)
    spelling = page.locator("#variant").locator("textarea, input")
    spelling.fill("smollm2-135m-instruct@gguf")
    spelling.press("Enter")
    expect(page.locator("#complete-cost")).to_contain_text("No GPU quota is used.", timeout=30_000)
    context.close()

    stranger = browser.new_page(locale="en-GB")
    stranger.goto(f"{space.url}/?tab=compare&variants={TINY}@bf16,{TINY}@nf4")
    expect(stranger.locator("#compare-cost")).to_contain_text(ABOUT, timeout=30_000)
    expect(stranger.locator("#compare-cost")).to_contain_text("of your network address")
    stranger.close()


@pytest.mark.slow
def test_when_the_quota_is_used_the_same_model_as_gguf_answers_after_one_press(space: Space, browser: Any) -> None:  # noqa: F811
    page = browser.new_page(locale="en-GB")
    page.goto(f"{space.url}/?variant=smollm2-135m-instruct@bf16&max_new_tokens=4")
    expect(page.locator("#chat-cost")).to_contain_text(ABOUT, timeout=30_000)
    space.api.answers.append("quota")
    page.locator("#message textarea").fill("Hello")
    page.locator("#message textarea").press("Enter")
    page.get_by_role("button", name="Use smollm2-135m-instruct@gguf: no GPU quota").click(timeout=60_000)
    expect(page.locator("#chat-cost")).to_contain_text("No GPU quota is used.", timeout=30_000)
    expect(page.locator("#message textarea")).to_have_value("Hello")
    asked = len(space.api.seen("/schedule"))
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#chatbot .thought-group")).to_contain_text("@gguf", timeout=60_000)
    assert len(space.api.seen("/schedule")) == asked
    page.close()
