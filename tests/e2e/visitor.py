"""A visitor in a real browser: what they do on the page, and what they read there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect

ANSWER_MS = 90_000  # a machine that computes something else at the same time can be ten times slower

# Keeps every length that the last message of the page had, so that a test can say in how many steps it grew.
WATCH_GROWTH = """() => {
  const log = document.querySelector('#chatbot [role=log]');
  window.lengths = [];
  const note = () => {
    const bots = [...log.querySelectorAll('[data-testid=bot]:not(:has(.thought-group))')];
    const length = bots.length ? bots.at(-1).innerText.length : 0;
    if (length !== window.lengths.at(-1)) window.lengths.push(length);
  };
  note();
  new MutationObserver(note).observe(log, { childList: true, subtree: true, characterData: true });
}"""

# WCAG 2 contrast of an element's text with what is painted behind it.
CONTRAST = """(element) => {
  const rgba = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [...numbers.slice(0, 3).map((n) => n * scale), numbers.length > 3 ? numbers[3] : 1];
  };
  const over = (top, below) => top.slice(0, 3).map((n, i) => n * top[3] + below[i] * (1 - top[3]));
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((n) => n / 255).map((n) => (n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
  const back = layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  const front = over(rgba(getComputedStyle(element).color), back);
  const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}"""


class Visitor:
    """One browser page on the app."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []  # errors in the console, exceptions, requests that failed
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", lambda r: self.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.box = page.locator("#message textarea")
        self.send_button = page.locator("#message .submit-button")
        self.stop_button = page.locator("#message .stop-button")
        self.status = page.locator("#chat-status")
        self.card = page.locator("#card")
        self.text = page.locator("#text textarea")
        self.questions = page.locator("#chatbot [data-testid=user]")
        self.answers = page.locator("#chatbot [data-testid=bot]:not(:has(.thought-group))")
        self.notes = page.locator("#chatbot .thought-group")

    def open(self, query: str = "") -> Visitor:
        """Go to the page, and wait until its link is read and its card drawn."""
        self.page.goto(f"{self.url}/?{query}")
        drawn = expect(self.card.locator(".card, .error"))
        if "embed=" in query:  # the card is there for the line below it
            drawn.to_be_attached(timeout=30_000)
        else:
            drawn.to_be_visible(timeout=30_000)
        return self

    def send(self, text: str) -> None:
        """Type a message and press Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def ask(self, text: str) -> str:
        """Send a message, wait for the end of its answer, and return the answer."""
        before = self.notes.count()
        self.send(text)
        return self.read_answer(before + 1)

    def read_answer(self, turn: int) -> str:
        """The text of the last answer, once there are `turn` finished ones and the box is ready again."""
        expect(self.notes).to_have_count(turn, timeout=ANSWER_MS)
        self.expect_ready()
        return self.answers.last.inner_text().strip()

    def hold(self, handler: str) -> Callable[[], None]:
        """Keep what the page asks of a handler from the server, until the function that comes back is called."""
        config = self.page.request.get(f"{self.url}/config").json()
        number = next(one["id"] for one in config["dependencies"] if one["api_name"] == handler)
        kept: list[Route] = []
        held = True

        def keep(route: Route) -> None:
            if held and f'"fn_index":{number},' in (route.request.post_data or ""):
                kept.append(route)
            else:
                route.continue_()

        def let_go() -> None:
            nonlocal held
            held = False
            assert kept, f"{handler} was not asked for"
            for route in kept:
                route.continue_()

        self.page.route("**/run/predict*", keep)
        return let_go

    def expect_ready(self) -> None:
        """The box takes the next message."""
        expect(self.send_button).to_be_visible(timeout=ANSWER_MS)
        expect(self.stop_button).to_have_count(0)

    def expect_streaming(self, characters: int = 1) -> None:
        """Wait until the last answer, a long one, is under way with at least that much text."""
        expect(self.answers.last).to_have_text(re.compile(rf"\S[\s\S]{{{characters},}}"), timeout=ANSWER_MS)
        expect(self.stop_button).to_be_visible()

    def watch_growth(self) -> None:
        """Start to record how the answers grow."""
        self.page.evaluate(WATCH_GROWTH)

    def lengths(self) -> list[int]:
        """The lengths that the answers had, one after another."""
        return list(self.page.evaluate("window.lengths.filter((length) => length > 0)"))

    def button(self, name: str) -> Locator:
        """The last of the small buttons at the messages."""
        return self.page.locator("#chatbot").get_by_role("button", name=name, exact=True).last

    def edit(self, turn: int, text: str) -> None:
        """Write an earlier message anew."""
        self.page.locator("#chatbot").get_by_role("button", name="Edit", exact=True).nth(turn - 1).click()
        area = self.page.locator("#chatbot textarea")
        area.fill(text)
        self.button("Submit").click()

    def unfold(self, element: str) -> None:
        """Open an accordion if it is closed."""
        head = self.page.locator(f"{element} > .label-wrap")
        if "open" not in (head.get_attribute("class") or "").split():
            head.click()

    def prompt_sent(self) -> str:
        """The exact text that the model was given."""
        self.unfold("#prompt-sent-group")
        return self.page.locator("#prompt-sent textarea").input_value()

    def pick_spelling(self, spelling: str) -> None:
        """Paste a variant and press Enter."""
        field = self.page.locator("#variant").locator("textarea, input")
        field.fill(spelling)
        field.press("Enter")

    def pick_quantization(self, name: str) -> None:
        """Press a row of the table of quantizations."""
        self.page.locator(f"#quantizations [data-press='{name}']").last.click()

    def pick_hardware(self, typed: str) -> None:
        """Look for a machine in the list, and take the first that is found."""
        self.page.locator("#hardware input").click()
        self.page.keyboard.type(typed)
        self.page.keyboard.press("Enter")

    def contrast(self, element: Locator) -> float:
        """The contrast of an element's text, 1 to 21."""
        return float(element.evaluate(CONTRAST))

    def expect_address(self, **said: str) -> None:
        """Wait until the page's address says so; it follows what is drawn."""
        says = (
            "(said) => Object.entries(said).every(([name, text]) => new URL(location).searchParams.get(name) === text)"
        )
        self.page.wait_for_function(says, arg=said, timeout=15_000)

    def address(self) -> dict[str, Any]:
        """The query string as the browser shows it now."""
        return dict(self.page.evaluate("Object.fromEntries(new URL(window.location).searchParams)"))
