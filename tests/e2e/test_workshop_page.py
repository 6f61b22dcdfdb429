"""The Workshop tab: a real model is looked into, the disk listed; a reload keeps it; who may not, is told."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .conftest import Visit


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).first.click()


def test_a_model_is_looked_into_and_the_disk_is_listed(visit: Visit) -> None:
    page = visit().page
    open_tab(page, "Workshop")
    page.locator("#workshop-show-go").click()
    lines = page.locator(".workshop-lines")
    expect(lines).to_contain_text("134,515,008 parameters")
    expect(lines).to_contain_text("blk.0 to 29: 3,540,096 parameters in each of 30")
    page.reload()
    expect(page.locator("#variant textarea, #variant input").first).to_have_value("smollm2-135m-instruct")
    open_tab(page, "Workshop")
    expect(lines).to_contain_text("134,515,008 parameters")
    open_tab(page, "To GGUF")
    page.locator("#workshop-to-gguf-go").click()
    expect(page.locator("#workshop-status .error")).to_contain_text("the file to write")
    open_tab(page, "Disk")
    page.locator("#workshop-disk-go").click()
    row = page.locator("#workshop-disk tr", has_text="smollm2-135m-instruct").first
    expect(row).to_contain_text("MB")


def test_who_comes_through_a_proxy_may_not(visit: Visit) -> None:
    page = visit(extra_http_headers={"X-Forwarded-For": "203.0.113.9"}).page
    open_tab(page, "Workshop")
    page.locator("#workshop-show-go").click()
    expect(page.locator("#workshop-status .error")).to_contain_text("for who runs this server")
    expect(page.locator(".workshop-lines")).to_have_count(0)


@pytest.mark.slow
def test_all_tabs_stand_side_by_side_on_a_phone(visit: Visit) -> None:
    page = visit(viewport={"width": 390, "height": 844}).page
    for name in ("Chat", "Compare", "Complete", "Train", "Workshop"):
        expect(page.locator("#tabs > .tab-wrapper").get_by_role("tab", name=name, exact=True)).to_be_visible()
