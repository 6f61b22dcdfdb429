"""What is typed and what a model wrote is sent, shown, kept, edited and copied character for character."""

from __future__ import annotations

import ast
import random
import re
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import expect

from tests.conftest import ServedApp

from .conftest import Visit
from .visitor import Visitor

CODE = "\n\n  class A<T>:\n\tdef __init__(self):\n\t\treturn x**2  \n\n"
TAGS = "a List<String> names; <think>so</think> <b>bold</b> </s> <!-- no --> &lt; &amp; <script>alert(1)</script>"
MARKS = "a $x$ $$a<b$$ \\(y\\) \\[z\\] \\* ~1 to ~2 [a](https://b.c/d_e) ![i](https://b.c/x.png)\n[r]: https://b.c"
SIGNS = "a \ufffd \u200b \u2067مرحبا\u2069 שלום 你好 😀 \U0010f83c \U0010f901"
BLOCKS = "# one\n1. a\n1. b\n> c\n```mermaid\ngraph TD; A-->B\n```\n| a |\n|---|\n| 1 | 2 |\n" + "x" * 500
ALL = "\n".join((CODE, TAGS, MARKS, SIGNS, BLOCKS, CODE))


def sent(visitor: Visitor) -> list[str]:
    """The conversation as the model was given it."""
    found: list[str] = ast.literal_eval(visitor.prompt_sent())
    return found


def shown(message: Any) -> str:
    """The text of a message's first paragraph."""
    return str(message.locator("p").first.evaluate("(paragraph) => paragraph.innerText"))


def copied(visitor: Visitor) -> str:
    """What the first button copies that has not copied a moment ago."""
    visitor.page.locator("#chatbot").get_by_role("button", name="Copy message").first.click()
    visitor.page.wait_for_timeout(100)
    return str(visitor.page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.slow
def test_a_question_stays_what_it_is(visit_echo: Visit) -> None:
    visitor = visit_echo(permissions=["clipboard-read", "clipboard-write"])
    page, question = visitor.page, visitor.questions.first
    visitor.ask(ALL)
    assert sent(visitor) == [ALL]
    assert shown(question) == ALL
    visitor.ask("And now?")
    assert sent(visitor) == [ALL, ALL, "And now?"]
    visitor.button("Retry").click()
    visitor.read_answer(2)
    expect(page.locator("#prompt-sent textarea")).to_have_value(repr([ALL, ALL, "And now?"]))

    page.wait_for_timeout(500)  # what follows an answer has come, too
    page.reload()
    expect(visitor.questions).to_have_count(2)
    assert shown(question) == ALL
    visitor.ask("Still?")
    assert sent(visitor) == [ALL, ALL, "And now?", "And now?", "Still?"]
    assert [copied(visitor), copied(visitor)] == [ALL, ALL], "of an answer without the figures under it"

    page.locator("#chatbot").get_by_role("button", name="Edit", exact=True).first.click()
    expect(page.locator("#chatbot textarea")).to_have_value(ALL)
    page.locator("#chatbot textarea").fill(f"{ALL}!")
    visitor.button("Submit").click()
    visitor.read_answer(1)
    assert sent(visitor) == [f"{ALL}!"]
    visitor.button("Undo").click()
    expect(visitor.box).to_have_value(f"{ALL}!")


def test_formulas_are_drawn_and_prices_stay(visit_echo: Visit) -> None:
    visitor = visit_echo(permissions=["clipboard-read", "clipboard-write"])
    text = "so $x_1 < y$ costs $5 to $10:\n\n$$\n\\frac{a}{b}\n$$\n\nor \\(c\\)"
    visitor.ask(text)
    answer = visitor.answers.first
    expect(answer.locator(".katex")).to_have_count(3)
    expect(answer.locator(".katex-display")).to_have_count(1)
    expect(answer.locator(".katex annotation")).to_have_text(["x_1 < y", "\\frac{a}{b}", "c"])
    expect(answer.locator(".katex-error")).to_have_count(0)
    assert " costs $5 to $10:" in answer.locator("p").first.inner_text()
    assert {copied(visitor), copied(visitor)} == {text}
    visitor.page.locator("#raw input").check()
    expect(answer.locator(".katex")).to_have_count(0)
    assert shown(answer) == text


def test_an_answer_shows_all_its_characters(visit_echo: Visit) -> None:
    visitor = visit_echo()
    for turn, text in enumerate((TAGS, MARKS.partition(" \\* ")[2], SIGNS)):
        visitor.ask(text)
        assert shown(visitor.answers.nth(turn)) == text
    drawn = visitor.page.locator("#chatbot .message")
    assert drawn.locator("b, img, script, think").count() == 0
    hrefs = drawn.locator("a").evaluate_all("(links) => links.map((link) => link.getAttribute('href'))")
    assert hrefs == ["https://b.c/d_e", "https://b.c/x.png", "https://b.c"]


def test_an_answer_is_still_formatted(visit_echo: Visit) -> None:
    code = "```java\nList<String> a_b = new ArrayList<>(); // &lt; \\n\n```"
    visitor = visit_echo()
    visitor.ask(f"**Bold** and `Map<K, V>`:\n\n- one <T>\n- two\n\n{code}\n\n1. a\n3. b\n\n  poem\n    line")
    answer = visitor.answers.first
    expect(answer.locator("strong")).to_have_text("Bold")
    expect(answer.locator("p code")).to_have_text("Map<K, V>")
    expect(answer.locator("ul li")).to_have_text(["one <T>", "two"])
    expect(answer.locator("pre code")).to_have_text("List<String> a_b = new ArrayList<>(); // &lt; \\n\n")
    expect(answer.locator("pre code .token").first).to_be_visible()
    expect(answer.locator("ol li")).to_have_text("a\n3. b", use_inner_text=True)
    assert answer.locator("p").last.inner_text() == "  poem\n    line"


@pytest.mark.slow
def test_a_base_models_conversation_is_exact_too(visit_echo: Visit) -> None:
    visitor = visit_echo("variant=gemma-3-270m@gguf")
    visitor.ask("\tOne <b>?  ")
    first = visitor.prompt_sent()
    assert first.endswith("\n\nQ: \tOne <b>?  \nA:")
    visitor.ask("Two")
    assert visitor.prompt_sent() == f"{first} {first}\n\nQ: Two\nA:"


def test_complete_goes_on_from_exactly_what_is_there(visit_echo: Visit) -> None:
    text = f"{CODE}<b>&lt;</b> \ufffd"
    visitor = visit_echo("tab=complete")
    visitor.text.fill(text)
    visitor.page.locator("#continue").click()
    expect(visitor.text).to_have_value(text + text)
    visitor.page.locator("#complete-undo").click()
    expect(visitor.text).to_have_value(text)


@pytest.mark.slow
def test_a_link_carries_texts_whole_or_says_so(visit_echo: Visit) -> None:
    visitor = visit_echo()
    page = visitor.page
    visitor.box.fill(CODE)
    page.locator("#make-link").click()
    link = page.locator("#link textarea")
    expect(link).to_have_value(re.compile("prompt="))
    visitor.open(link.input_value().partition("?")[2])
    expect(visitor.box).to_have_value(CODE)
    visitor.box.fill("".join(random.Random(1).choices("abcdefghijklmnop", k=9_000)))  # too much, even packed
    page.locator("#make-link").click()
    expect(link).to_have_value(re.compile("a link carries at most 4,000"))


@pytest.mark.slow
def test_columns_of_a_comparison_show_the_characters(visit_echo: Visit) -> None:
    query = "tab=compare&variants=smollm2-135m-instruct@gguf,gemma-3-270m@gguf"
    visitor = visit_echo(query)
    page = visitor.page
    page.locator("#compare-prompt textarea").fill(TAGS)
    visitor.unfold("#compare-options")
    page.locator("#compare-quality input").uncheck()
    page.locator("#compare-go").click()
    expect(page.locator("#compare-status")).to_contain_text("Done: 2 of 2")
    first = page.locator(".compare-column").first
    assert first.locator(".answer").inner_text() == TAGS
    assert page.locator("#compare-columns .asked").first.evaluate("(asked) => asked.textContent") == TAGS
    page.locator("#compare-prompt textarea").fill("\tAnd?\n")
    page.locator("#compare-follow").click()
    expect(page.locator(".compare-column").first.locator(".asked")).to_have_count(2)
    expect(page.locator("#compare-status")).to_contain_text("Done: 2 of 2")
    prompt = page.locator(".compare-column").first.locator("details pre").last.evaluate("(pre) => pre.textContent")
    assert ast.literal_eval(prompt) == [TAGS, TAGS, "\tAnd?\n"]


def test_programs_get_the_same_texts(echo_app: ServedApp) -> None:
    client = Client(echo_app.url, verbose=False, analytics_enabled=False)
    history = [{"role": "user", "content": ALL}, {"role": "assistant", "content": [{"type": "text", "text": CODE}]}]
    answer, _ = client.predict(f"{CODE}\r\n", history, "gemma-3-270m@gguf", api_name="/chat")
    assert answer.endswith(f"\n\nQ: {ALL}\nA:{CODE}\n\nQ: {CODE}\r\n\nA:")
    assert client.predict(f"{ALL}\r\n", api_name="/complete")[0] == f"{ALL}\r\n"
    client.close()
