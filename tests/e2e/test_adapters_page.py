"""Adapters on the page: picked, weighed, brought along, and each visitor's own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from tests.conftest import SMOLLM2, ServedApp

from .conftest import Visit

SHORT = "max_new_tokens=24&temperature=0"
SHIPPED = Path(__file__).parents[2] / "models" / "finetuned"
QUESTION = "What is the capital of France?"


@pytest.mark.slow
def test_an_adapter_that_is_picked_while_the_one_before_is_drawn_stays(visit: Visit) -> None:
    visitor = visit(f"variant={SMOLLM2}")
    names, let_go = visitor.page.locator("#adapters input"), visitor.hold("from_names")
    for title in ("Pirate", "JSON"):
        names.click()
        visitor.page.get_by_role("option", name=title, exact=True).click()
    let_go()
    expect(visitor.page.locator("#variant").locator("textarea, input")).to_have_value(f"{SMOLLM2}+pirate+json")


def test_picks_adapters_weighs_them_and_gets_their_answers(visit: Visit) -> None:
    visitor = visit(f"variant={SMOLLM2}&{SHORT}")
    page = visitor.page
    names, spelling = page.locator("#adapters input"), page.locator("#variant").locator("textarea, input")
    for title in ("Pirate", "JSON"):
        names.click()
        page.get_by_role("option", name=title, exact=True).click()
    names.press("Escape")
    expect(spelling).to_have_value(f"{SMOLLM2}+pirate+json")
    expect(page.locator("#quantizations .picked").first).to_contain_text("auto gguf")
    expect(page.locator("#quantizations .refused")).to_contain_text("dynamic-int8")
    expect(visitor.card).to_contain_text("adapters")
    expect(page.locator("#adapter-notes")).to_contain_text("answers in the voice of a storybook pirate")
    expect(page.locator(".strength:visible")).to_have_count(2)
    page.locator("#adapters .token", has_text="Pirate").locator(".token-remove").click()
    expect(spelling).to_have_value(f"{SMOLLM2}+json")
    expect(page.locator(".strength:visible")).to_have_count(1)
    number = page.locator("#strength-0 input[type=number]")
    number.fill("0.9")
    number.press("Enter")
    expect(spelling).to_have_value(f"{SMOLLM2}+json:0.9")
    assert visitor.ask(QUESTION).startswith('{"answer":')
    expect(visitor.notes.last).to_contain_text(f"{SMOLLM2}@gguf+json:0.9")
    expect(page.locator("#held")).to_contain_text("1 adapter")
    visitor.expect_address(variant=f"{SMOLLM2}+json:0.9")

    number.fill("0")
    number.press("Enter")
    expect(spelling).to_have_value(f"{SMOLLM2}+json:0")
    other = visit(f"variant={SMOLLM2}%2Bjson:0&{SHORT}")  # without the conversation so far, which it would copy
    assert "{" not in other.ask(QUESTION)


@pytest.mark.slow
def test_a_link_brings_adapters_and_says_what_it_could_not(visit: Visit) -> None:
    visitor = visit(f"variant={SMOLLM2}@bf16%2Bpirate:0.5%2Bjson:-1")
    expect(visitor.page.locator(".strength:visible")).to_have_count(2)
    expect(visitor.page.locator("#strength-0 input[type=number]")).to_have_value("0.5")
    expect(visitor.page.locator("#strength-1 input[type=number]")).to_have_value("-1")
    other = visit(f"variant={SMOLLM2}%2Bparrot")
    expect(other.status).to_contain_text("There is no adapter called “parrot”")
    expect(other.card).to_contain_text("There is no adapter called “parrot”")
    expect(other.page.locator("#variant").locator("textarea, input")).to_have_value(f"{SMOLLM2}+parrot")


def test_brings_an_adapter_of_ones_own_and_a_bad_one_is_refused(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(f"variant={SMOLLM2}@bf16&{SHORT}")
    page = visitor.page
    visitor.unfold("#more-adapters")
    files = page.locator("#upload-adapter input[type=file]")
    pair = [SHIPPED / "json" / "adapter_config.json", SHIPPED / "json" / "adapter_model.safetensors"]
    cut = tmp_path / "adapter_model.safetensors"
    cut.write_bytes(pair[1].read_bytes()[:100_000])
    files.set_input_files([pair[0], cut])
    expect(page.locator("#upload-refused [role=alert]")).to_contain_text("is refused: ")
    expect(page.locator("#upload-refused [role=alert]")).to_contain_text("cut short")
    expect(visitor.card.locator(".card")).to_be_visible()
    page.locator("#upload-name").locator("textarea, input").fill("Sea JSON")
    files.set_input_files([str(path) for path in pair])
    spelling = page.locator("#variant").locator("textarea, input")
    expect(spelling).to_have_value(re.compile(rf"{SMOLLM2}@bf16\+sea-json-[a-z2-7]{{24}}"))
    expect(page.locator("#adapters .token")).to_have_text(re.compile(r"sea-json-\w{4}…"))
    assert visitor.ask(QUESTION).startswith('{"answer":')
    other = visit(f"variant={SMOLLM2}@bf16")
    other.page.locator("#adapters input").click()
    expect(other.page.get_by_role("option")).to_have_count(2)  # the two of the table, nobody's upload


@pytest.mark.slow
def test_own_adapter_is_compared_with_its_base_in_four_presses(visit_echo: Visit) -> None:
    visitor = visit_echo(SHORT)
    page = visitor.page
    page.evaluate("presses = 0; addEventListener('click', (event) => { presses += event.isTrusted; }, true)")
    page.locator("#more-adapters > .label-wrap").click()
    page.locator("#upload-name").locator("textarea, input").press_sequentially("Sea JSON")
    with page.expect_file_chooser() as chooser:
        page.locator("#upload-adapter button").first.click()
    chooser.value.set_files(sorted((SHIPPED / "json").iterdir()))
    page.locator("#adapter-notes").get_by_role("button", name="Compare with its base").click()
    expect(page.locator("#candidates .candidate")).to_have_text(
        [re.compile("^gguf · "), re.compile(r"^gguf\+sea-json")]
    )
    expect(page.locator("#compare-prompt textarea")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.locator("#compare-go").click()
    expect(page.locator("#compare-status")).to_contain_text("Done: 2 of 2 answered", timeout=30_000)
    expect(page.locator("#compare-columns h3")).to_have_text([re.compile("gguf"), re.compile("sea-json")])
    expect(page.locator("#compare-results tbody tr")).to_have_count(2)
    assert page.evaluate("presses") <= 4


def chat(app: ServedApp, variant: str, turns: int = 1) -> list[tuple[str, dict[str, Any]]]:
    client = Client(app.url, verbose=False, analytics_enabled=False)
    options: dict[str, Any] = {"variant": variant, "temperature": 0, "max_new_tokens": 12, "api_name": "/chat"}
    answers = [tuple(client.submit(QUESTION, **options).result(120)) for _ in range(turns)]
    client.close()
    return answers


@pytest.mark.parametrize("turns", [1, pytest.param(12, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", [pytest.param("bf16", marks=pytest.mark.slow), "gguf"])
def test_visitors_with_different_adapters_on_one_base_always_get_their_own(
    app: ServedApp, mode: str, turns: int
) -> None:
    variants = [f"{SMOLLM2}@{mode}{end}" for end in ("", "+pirate", "+json", "+pirate:0.5+json:0.5")]
    alone = {variant: chat(app, variant)[0] for variant in variants}
    assert len({text for text, _ in alone.values()}) == 4
    with ThreadPoolExecutor(len(variants)) as visitors:
        for variant, answers in zip(variants, visitors.map(lambda v: chat(app, v, turns), variants), strict=True):
            wanted = variant.split("+")[1:]
            for text, usage in answers:
                assert (text, usage["variant"]) == (alone[variant][0], variant)
                assert sorted(usage["adapters"]) == sorted(wanted)


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        ("+pirate+pirate", "an adapter is named twice"),
        ("+pirate:lots", "is not a number"),
        ("+pirate:3", "a number from -2 to 2"),
        ("+../../etc/passwd", "is a path or an address"),
        ("+parrot", "no adapter called “parrot”"),
        ("+a+b+c+d+e", "5 adapters, more than 4"),
        ("@dynamic-int8+pirate", "it takes no LoRA adapters"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(app: ServedApp, end: str, sentence: str) -> None:
    with pytest.raises(AppError, match=re.escape(sentence)):
        chat(app, f"{SMOLLM2}{end}")


def test_an_adapter_of_another_base_names_both(app: ServedApp) -> None:
    with pytest.raises(AppError, match="SmolLM2-135M-Instruct"):
        chat(app, "gemma-3-270m+pirate")


def test_the_adapters_of_a_model_are_listed(app: ServedApp) -> None:
    client = Client(app.url, verbose=False, analytics_enabled=False)
    found = client.predict(SMOLLM2, api_name="/adapters")
    assert [entry["key"] for entry in found["listed"]] == ["pirate", "json"]
    assert found["hub"] == []
    plan = client.predict(f"{SMOLLM2}+pirate", api_name="/plan")
    assert plan["variant"] == f"{SMOLLM2}@gguf+pirate"
    assert 1_000_000 < plan["bytes"]["adapters"] < 10_000_000
    assert plan["warnings"] == []
    client.close()
