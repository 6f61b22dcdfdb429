"""The page as visitors use it: a real browser, the real app, real models."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import GEMMA, ROOT, SMOLLM2, ServedApp

from .conftest import Visit
from .visitor import ANSWER_MS

SHORT = "max_new_tokens=16&temperature=0"
LONG = "max_new_tokens=2048&temperature=0"
LONG_PROMPT = "Write a very long story about a robot that travels around the world."
NOTE = re.compile(rf"\d+ tokens · (≈ \d+|\d+\.\d) tok/s · TTFT \d+\.\d\d s · (cut at the limit · )?{SMOLLM2}@gguf")

# The sum of all layout shifts since the page was opened (https://web.dev/articles/cls).
SHIFTS = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(done, 1000, 0);
})"""


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.slow)])
def test_nothing_jumps_when_the_page_opens(visit_echo: Visit, width: int) -> None:
    page = visit_echo(viewport={"width": width, "height": 900}).page
    page.wait_for_timeout(1_000)  # what follows the card has come, too
    assert page.evaluate(SHIFTS) < 0.05


@pytest.mark.parametrize("press", ["Enter", pytest.param("example", marks=pytest.mark.slow)])
def test_what_is_asked_before_the_page_has_opened_is_answered_when_it_has(visit: Visit, press: str) -> None:
    visitor = visit(SHORT)
    let_go = visitor.hold("open_link")
    visitor.page.reload()
    if press == "Enter":
        visitor.send("Name a colour.")
    else:
        visitor.page.get_by_role("button", name="Select example 1").click()
    expect(visitor.card.locator(".card")).to_have_count(0)
    let_go()
    visitor.read_answer(1)


def test_the_page_can_be_installed(app: ServedApp, visit_echo: Visit) -> None:
    manifest = visit_echo().page.locator("link[rel=manifest]").get_attribute("href")
    said = httpx.get(urljoin(app.url, manifest)).json()
    assert said["name"] == "Paddock"
    assert httpx.get(f"{app.url}{said['icons'][0]['src']}").text == (ROOT / "ui" / "icon.svg").read_text()


def test_the_page_comes_compressed_with_its_script(app: ServedApp) -> None:
    answer = httpx.get(app.url, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.num_bytes_downloaded < len(answer.content) / 3
    assert "<head><script>" in answer.text


def test_sends_a_prompt_and_reads_the_streamed_answer(visit: Visit) -> None:
    visitor = visit("max_new_tokens=48&temperature=0")
    visitor.watch_growth()
    answer = visitor.ask("Tell me a story about a cat.")
    lengths = visitor.lengths()
    assert len(lengths) >= 3
    assert lengths == sorted(lengths)
    assert len(answer) > 20
    expect(visitor.notes).to_have_text(NOTE)
    expect(visitor.status).to_contain_text(re.compile(r"context \d+ of 4,096 tokens"))
    expect(visitor.box).to_have_value("")
    assert visitor.prompt_sent().endswith("Tell me a story about a cat.<|im_end|>\n<|im_start|>assistant\n")
    visitor.notes.locator("[role=button]").click()
    expect(visitor.notes).to_contain_text("Ended because")
    expect(visitor.page.locator("#held")).to_contain_text(f"{SMOLLM2}@gguf")


def test_stops_a_long_answer_and_keeps_what_is_there(visit: Visit) -> None:
    visitor = visit(LONG)
    visitor.send(LONG_PROMPT)
    visitor.expect_streaming(characters=25)
    visitor.stop_button.click()
    expect(visitor.notes).to_contain_text("stopped", timeout=5_000)
    visitor.expect_ready()
    text = visitor.answers.inner_text()
    assert len(text) > 20
    visitor.page.wait_for_timeout(500)
    assert visitor.answers.inner_text() == text
    visitor.send(LONG_PROMPT)  # the next one is answered
    expect(visitor.answers).to_have_count(2, timeout=ANSWER_MS)
    visitor.expect_streaming()
    visitor.stop_button.click()
    visitor.expect_ready()


@pytest.mark.slow
def test_what_is_typed_while_an_answer_streams_is_not_lost(visit: Visit) -> None:
    visitor = visit("max_new_tokens=160&temperature=0")
    visitor.send(LONG_PROMPT)
    visitor.expect_streaming()
    visitor.send("My next question")
    visitor.read_answer(1)
    expect(visitor.box).to_have_value("My next question")
    expect(visitor.questions).to_have_count(1)
    visitor.box.press("Enter")
    visitor.read_answer(2)
    expect(visitor.questions.last).to_have_text("My next question")


def test_retry_edit_undo_and_reload(visit: Visit) -> None:
    visitor = visit(SHORT)
    first, second = visitor.ask("Name a colour."), visitor.ask("Name an animal.")

    visitor.watch_growth()
    visitor.button("Retry").click()
    visitor.page.wait_for_function("window.lengths.length > 1", timeout=ANSWER_MS)
    assert visitor.read_answer(2)
    expect(visitor.questions).to_have_text(["Name a colour.", "Name an animal."])
    assert visitor.answers.all_inner_texts()[0].strip() == first

    visitor.edit(1, "Write a list of five animals.")
    expect(visitor.questions).to_have_text(["Write a list of five animals."])
    edited = visitor.read_answer(1)
    assert edited not in (first, second)
    assert "Name a colour" not in visitor.prompt_sent()

    visitor.page.reload()
    expect(visitor.questions).to_have_text(["Write a list of five animals."], timeout=20_000)
    expect(visitor.notes).to_have_text(NOTE)
    assert visitor.answers.inner_text().strip() == edited
    visitor.expect_address(variant=SMOLLM2)

    visitor.ask("And five plants?")
    assert "Write a list of five animals." in visitor.prompt_sent()  # the model still knows what was said
    visitor.button("Undo").click()
    expect(visitor.box).to_have_value("And five plants?")
    expect(visitor.questions).to_have_text(["Write a list of five animals."])
    visitor.page.reload()
    expect(visitor.questions).to_have_text(["Write a list of five animals."], timeout=20_000)


@pytest.mark.slow
def test_clear_undo_and_retry_end_an_answer_under_way(visit: Visit) -> None:
    visitor = visit(LONG)
    visitor.send(LONG_PROMPT)
    visitor.expect_streaming(characters=20)
    visitor.watch_growth()
    visitor.button("Retry").click()
    visitor.page.wait_for_function("window.lengths.some((n, i) => n < window.lengths[i - 1])", timeout=ANSWER_MS)
    visitor.expect_streaming()  # the new answer can be stopped
    expect(visitor.questions).to_have_count(1)

    visitor.button("Undo").click()
    expect(visitor.box).to_have_value(LONG_PROMPT)
    visitor.expect_ready()
    expect(visitor.questions).to_have_count(0)

    visitor.box.press("Enter")
    visitor.expect_streaming()
    visitor.button("Clear").click()
    visitor.expect_ready()
    visitor.page.wait_for_timeout(1_000)  # whatever was on its way has come
    expect(visitor.questions).to_have_count(0)
    expect(visitor.answers).to_have_count(0)


def test_example_is_asked_at_a_click(visit: Visit) -> None:
    visitor = visit(SHORT)
    visitor.box.fill("a draft")
    visitor.page.get_by_text("Write a haiku about a slow computer.").click()
    assert visitor.read_answer(1)
    expect(visitor.questions).to_have_text(["Write a haiku about a slow computer."])


def test_base_model_gets_its_three_parts(visit: Visit) -> None:
    visitor = visit(f"variant={GEMMA}&{SHORT}")
    page = visitor.page
    expect(page.locator("#base-parts").first).to_be_visible()
    expect(page.locator("#instruct-parts")).to_be_hidden()
    page.locator("#instruction").locator("textarea, input").fill("Short answers.")
    assert visitor.ask("What is the capital of France?")
    assert visitor.prompt_sent() == "Short answers.\n\nQ: What is the capital of France?\nA:"
    expect(visitor.notes).to_contain_text(f"{GEMMA}@gguf")

    visitor.pick_spelling(SMOLLM2)
    expect(page.locator("#base-parts").first).to_be_hidden()
    expect(page.locator("#instruct-parts")).to_be_visible()
    visitor.unfold("#instruct-parts")
    page.locator("#system textarea").fill("You are a pirate.")
    visitor.ask("Who are you?")
    assert visitor.prompt_sent().startswith("<|im_start|>system\nYou are a pirate.<|im_end|>")


def test_complete_continues_exactly_what_is_in_the_box(visit: Visit) -> None:
    prompt = "Roses are red,\n  violets are "
    visitor = visit(f"tab=complete&variant={SMOLLM2}&{SHORT}")
    page = visitor.page
    go, undo, stop = (page.locator(f"#{name}") for name in ("continue", "complete-undo", "complete-stop"))
    expect(undo).to_be_disabled()
    visitor.text.fill(prompt)
    go.click()
    expect(page.locator("#complete-figures")).to_have_text(NOTE, timeout=ANSWER_MS)
    expect(go).to_be_enabled()
    expect(stop).to_be_disabled()
    longer = visitor.text.input_value()
    assert longer.startswith(prompt)
    assert len(longer) > len(prompt)
    marked = page.locator("#text mark")
    expect(marked).to_have_text(longer[len(prompt) :])
    page.reload()
    expect(visitor.text).to_have_value(longer, timeout=20_000)
    expect(marked).to_have_text(longer[len(prompt) :])
    undo.click()
    expect(visitor.text).to_have_value(prompt)
    expect(undo).to_be_disabled()

    visitor.text.fill("")
    go.click()
    expect(page.locator("#complete-status")).to_contain_text("The prompt is empty. Type something first.")


def test_complete_can_be_stopped(visit: Visit) -> None:
    visitor = visit(f"tab=complete&{LONG}&prompt=Once upon a time")
    page = visitor.page
    expect(visitor.text).to_have_value("Once upon a time")
    page.locator("#continue").click()
    expect(visitor.text).to_have_value(re.compile(r"^Once upon a time[\s\S]{20,}"), timeout=ANSWER_MS)
    page.locator("#complete-stop").click()
    expect(page.locator("#complete-figures")).to_contain_text("stopped", timeout=5_000)
    expect(page.locator("#continue")).to_be_enabled()
    assert len(visitor.text.input_value()) > len("Once upon a time")


def test_link_opens_what_it_says(visit: Visit) -> None:
    visitor = visit(f"variant={GEMMA}@gguf&temperature=0&top_k=7&seed=42&prompt=Once upon&tab=complete")
    page = visitor.page
    expect(visitor.text).to_have_value("Once upon")
    expect(visitor.text).to_be_visible()
    expect(page.locator("#variant").locator("textarea, input")).to_have_value(f"{GEMMA}@gguf")
    expect(page.locator("#quantizations .picked").first).to_contain_text("gguf")
    visitor.unfold("#sampling")
    for name, value in {"temperature": "0", "top_k": "7", "seed": "42"}.items():
        expect(page.locator(f"#{name} input[type=number]")).to_have_value(value)

    visitor.open("prompt=Hello there&system=Be brief.")
    expect(visitor.box).to_have_value("Hello there")
    visitor.unfold("#instruct-parts")
    expect(page.locator("#system textarea")).to_have_value("Be brief.")


def test_bad_link_says_so_and_the_page_still_works(visit: Visit) -> None:
    visitor = visit("temperature=9")
    sentence = "temperature is 9.0, but it must be a number from 0 to 2."
    expect(visitor.status.locator("[role=alert]")).to_contain_text(sentence)
    expect(visitor.page.locator("#model input")).to_have_value(re.compile("SmolLM2 135M"))
    assert visitor.ask("Say hi.")


def test_nothing_is_computed_for_an_empty_prompt(visit: Visit) -> None:
    visitor = visit(SHORT)
    visitor.send("  ")
    expect(visitor.status).to_contain_text("The prompt is empty. Type something first.")
    visitor.expect_ready()
    expect(visitor.questions).to_have_count(0)
    assert visitor.prompt_sent() == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "word " * 12_001,
            re.compile(r"have 60,\d{3} characters; this app accepts at most 60,000\."),
            marks=pytest.mark.slow,
        ),
        ("word " * 6_000, re.compile(r"The prompt is [\d,]+ tokens long, but this model has room for 4,096 here\.")),
    ],
    ids=["characters", "tokens"],
)
def test_too_long_a_prompt_stays_in_the_box(visit: Visit, text: str, sentence: Any) -> None:
    visitor = visit(SHORT)
    visitor.ask("Say hi.")
    visitor.send(text)
    expect(visitor.status.locator("[role=alert]")).to_contain_text(sentence, timeout=ANSWER_MS)
    visitor.expect_ready()
    expect(visitor.box).to_have_value(text)
    expect(visitor.questions).to_have_text(["Say hi."])


@pytest.mark.slow
def test_unknown_spelling_is_explained_and_kept(visit: Visit) -> None:
    visitor = visit(SHORT)
    field = visitor.page.locator("#variant").locator("textarea, input")
    visitor.pick_spelling("smollm2-135m-instrct@gguf")
    expect(visitor.card).to_contain_text("There is no model called “smollm2-135m-instrct” here.")
    expect(visitor.card).to_contain_text(SMOLLM2)  # the nearest
    expect(field).to_have_value("smollm2-135m-instrct@gguf")
    visitor.pick_spelling(f"{GEMMA}@gguf")
    expect(visitor.card).to_contain_text("base: continues text")
    visitor.expect_address(variant=f"{GEMMA}@gguf")


def test_model_and_quantization_are_picked_from_the_lists(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.locator("#model input").click()
    page.locator(f"#model [role=option][data-value='{GEMMA}']").click()
    expect(visitor.card).to_contain_text("base: continues text")
    expect(page.locator("#variant").locator("textarea, input")).to_have_value(GEMMA)
    visitor.pick_quantization("gguf")
    expect(page.locator("#variant").locator("textarea, input")).to_have_value(f"{GEMMA}@gguf")
    visitor.expect_address(variant=f"{GEMMA}@gguf")


def test_phone(visit: Visit) -> None:
    visitor = visit(SHORT, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.page
    expect(page.locator(".sidebar.open")).to_have_count(0)
    visitor.ask("Write a list of five animals, please, and of five plants.")
    expect(visitor.box).to_be_in_viewport()
    assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    for message in (visitor.questions.last, visitor.answers.last, visitor.notes.last):
        place = message.bounding_box()
        assert place
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
    page.locator("#chip button").click()
    expect(page.locator("#model input")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_text_is_readable(visit: Visit, scheme: str) -> None:
    visitor = visit(SHORT, color_scheme=scheme)
    visitor.ask("Say hi.")
    background = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(int(part) for part in re.findall(r"\d+", background)[:3]) < 128) == (scheme == "dark")
    visitor.send(" ")
    expect(visitor.status.locator("[role=alert]")).to_be_visible()
    for part in (
        visitor.questions.last.locator("p").first,
        visitor.answers.last.locator("p").first,
        visitor.notes.last.locator("p").first,
        visitor.status.locator("[role=alert] b"),
        visitor.card.locator("dd").first,
        visitor.card.locator("dd a").first,
    ):
        assert visitor.contrast(part) >= 4.5, part


@pytest.mark.slow
def test_two_visitors_each_get_their_own_answer(app: ServedApp, visit: Visit) -> None:
    first, second = visit(LONG), visit("max_new_tokens=48&temperature=0")
    first.send(LONG_PROMPT)
    second.send("Write a list of twenty animals.")
    first.expect_streaming()
    first.stop_button.click()
    expect(first.notes).to_contain_text("stopped", timeout=5_000)
    second.read_answer(1)
    expect(second.notes).not_to_contain_text("stopped")
    expect(first.questions).to_have_text([LONG_PROMPT])
    expect(second.questions).to_have_text(["Write a list of twenty animals."])
    assert second.answers.inner_text() != first.answers.inner_text()


def test_a_visitor_who_leaves_ends_his_answer(visit: Visit) -> None:
    gone, stays = visit(LONG), visit(SHORT)
    gone.send(LONG_PROMPT)
    gone.expect_streaming()
    gone.page.goto("about:blank")
    assert stays.ask("Say hi.")
    gone.complaints.clear()  # the browser's own, about the stream that was cut
    held: Any = stays.page.locator("#held")
    expect(held).not_to_contain_text("in use")


@pytest.mark.slow
def test_a_link_takes_the_conversation_along_where_it_is_wished(visit_echo: Visit) -> None:
    visitor = visit_echo(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    visitor.ask("Is <b>this</b> kept, $5?")
    page.locator("#make-link").click()
    expect(page.locator("#make-link")).to_have_text("Copied")
    assert "conversation" not in page.evaluate("navigator.clipboard.readText()")
    page.locator("#link-talk").click()
    expect(page.locator("#link-talk")).to_be_hidden()
    link = page.evaluate("navigator.clipboard.readText()")
    other = visit_echo(link.partition("?")[2])
    expect(other.questions).to_have_text(["Is <b>this</b> kept, $5?"])
    other.ask("And now?")
    expect(other.questions).to_have_count(2)
