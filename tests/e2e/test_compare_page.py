"""Variants side by side on the page: streamed, measured, taken away and opened again, voted on without their names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from models.domain.results.file import from_json
from models.domain.results.ranking import votes_from_json
from tests.conftest import SMOLLM2

from .conftest import Visit
from .visitor import ANSWER_MS, Visitor

BF16, NF4, GGUF, JSON = (f"{SMOLLM2}{end}" for end in ("@bf16", "@nf4", "@gguf", "@nf4+json"))
TOO_LARGE = "llama-2-70b-chat@bf16"
TEXT = "The wheel is older than the road, and the road is older than the map. Nobody drew a map of the first road."
QUESTION = "What is the capital of France?"
# Keeps how many columns had text at a time, and every length of all of it.
WATCH = """() => {
  window.seen = [];
  const note = () => {
    const texts = [...document.querySelectorAll('.compare-column .answer:not(.earlier)')];
    const now = texts.map((element) => element.innerText.length).join();
    if (now !== window.seen.at(-1)) window.seen.push(now);
  };
  new MutationObserver(note).observe(document.querySelector('#compare-columns'),
    { childList: true, subtree: true, characterData: true });
}"""
# Presses Stop as soon as it can be, before a token has come.
STOP_AT_ONCE = """() => {
  const stop = document.querySelector('#compare-stop');
  const press = () => { if (!stop.disabled) { watcher.disconnect(); stop.click(); } };
  const watcher = new MutationObserver(press);
  watcher.observe(stop, { attributes: true });
}"""


class Comparer(Visitor):
    """A visitor on the Compare tab."""

    @property
    def columns(self) -> Locator:
        return self.page.locator("#compare-columns .compare-columns > .compare-column")

    @property
    def candidates(self) -> Locator:
        return self.page.locator("#candidates .candidate")

    def remove(self, spelling: str) -> None:
        self.page.locator("#candidates").get_by_role("button", name=f"Remove {spelling}", exact=True).click()

    def paste(self, spellings: str) -> None:
        self.unfold("#compare-add")
        field = self.page.locator("#add-spelling textarea")
        field.fill(spellings)
        field.press("Enter")

    @property
    def said(self) -> Locator:
        return self.page.locator("#compare-status")

    @property
    def rows(self) -> Locator:
        return self.page.locator("#compare-results tbody tr:has(th[scope=row])")

    def answers_of_all(self) -> list[str]:
        return [text.strip() for text in self.page.locator(".compare-column .answer:not(.earlier)").all_inner_texts()]

    def press(self, name: str) -> None:
        self.page.locator(f"#compare-{name}").click()

    def compare(self, words: str, button: str = "go") -> None:
        """Press a button that computes, and wait for what is said at the end."""
        self.press(button)
        expect(self.page.locator("#compare-stop")).to_be_enabled(timeout=ANSWER_MS)
        expect(self.said).to_contain_text(words, timeout=2 * ANSWER_MS)


def listed(visit: Visit, *variants: str, tokens: int = 16, prompt: str = QUESTION, **options: Any) -> Comparer:
    """The Compare tab with variants in its list, opened by a link."""
    spelled = ",".join(variants).replace("+", "%2B")
    asked = f"&variants={spelled}" if spelled else ""
    visitor = visit(f"tab=compare{asked}&prompt={prompt}&max_new_tokens={tokens}", **options)
    visitor.__class__ = Comparer
    expect(visitor.page.locator("#candidates .candidate")).to_have_count(len(variants))
    return visitor  # type: ignore[return-value]


def without_quality(visitor: Comparer) -> Comparer:
    visitor.unfold("#compare-options")
    visitor.page.locator("#compare-quality input").uncheck()
    return visitor


@pytest.mark.slow
def test_four_variants_side_by_side_with_figures_that_are_taken_away(visit: Visit, tmp_path: Path) -> None:
    visitor = listed(visit, BF16, NF4, GGUF, JSON)
    page = visitor.page
    expect(page.locator("#compare-plan")).to_contain_text(re.compile(r"of [\d.]+ [MG]B available"))
    expect(page.locator("#compare-columns")).to_contain_text("One prompt, several variants")
    visitor.unfold("#compare-options")
    page.locator("#compare-text textarea").fill(TEXT)
    page.evaluate(WATCH)
    visitor.compare("Done: 4 of 4 answered")

    growth = [[int(n) for n in line.split(",")] for line in page.evaluate("window.seen") if line.count(",") == 3]
    assert len({line[0] for line in growth}) >= 3  # it streamed
    assert any(line[0] and not line[2] for line in growth)  # one after another
    answers = visitor.answers_of_all()
    assert all(answers)
    assert answers[3].startswith('{"answer"')
    expect(visitor.columns.first.locator("h3")).to_have_text("bf16 reference")
    for at in range(4):
        expect(visitor.columns.nth(at).locator(".compare-figures")).to_contain_text(re.compile(r"TTFT\s*\d"))
        expect(visitor.columns.nth(at).locator(".compare-figures")).to_contain_text("perplexity")
    expect(visitor.columns.nth(3).locator("mark")).to_have_count(1)
    expect(visitor.rows).to_have_count(4)
    expect(page.locator("#compare-results .conclusion")).to_contain_text("The rule: of the variants")
    expect(page.locator("#compare-pictures .plot .point")).to_have_count(4)
    expect(page.locator("#compare-pictures .bars")).to_have_count(2)
    before = page.locator("#compare-results .conclusion").text_content() or ""
    page.locator("#distance input[type=number]").fill("50")
    page.locator("#distance input[type=number]").press("Enter")
    expect(page.locator("#compare-results .conclusion")).not_to_have_text(before)
    visitor.columns.first.get_by_text("Details").click()
    visitor.columns.first.get_by_text("Prompt sent").click()
    expect(visitor.columns.first.locator("pre")).to_contain_text(f"{QUESTION}<|im_end|>")

    with page.expect_download() as download:
        visitor.press("json")
    file = tmp_path / "comparison.json"
    download.value.save_as(file)
    comparison = from_json(file.read_text(encoding="utf-8"))
    assert [column.variant for column in comparison.columns] == [BF16, NF4, GGUF, JSON]
    assert all(column.known.perplexity and column.known.decode_tokens_per_s for column in comparison.columns)

    other = listed(visit)
    open_file = other.page.locator("#compare-files input[type=file]")
    open_file.set_input_files(file)
    expect(other.said).to_contain_text("Opened: made ")
    assert other.answers_of_all() == answers
    expect(other.rows).to_have_count(4)
    expect(other.candidates).to_have_count(4)
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"format": "other"}))
    open_file.set_input_files(bad)
    expect(other.said.locator("[role=alert]")).to_contain_text("cannot be used: format should be")
    expect(other.rows).to_have_count(4)


@pytest.mark.slow
def test_one_that_does_not_fit_says_so_and_the_other_is_asked_again(visit: Visit) -> None:
    visitor = without_quality(listed(visit, GGUF, TOO_LARGE))
    expect(visitor.page.locator("#compare-plan")).to_contain_text(f"{TOO_LARGE} does not fit")
    visitor.compare("Done: 1 of 1 answered")
    expect(visitor.said.locator("[role=alert]")).to_contain_text("needs about 140.6 GB")
    first = visitor.answers_of_all()[0]
    assert first
    visitor.page.locator("#compare-prompt textarea").fill("And of Spain?")
    visitor.compare("Done: 1 of 1 answered", "follow")
    expect(visitor.columns.first.locator(".asked")).to_have_text([QUESTION, "And of Spain?"])
    expect(visitor.columns.first.locator(".answer.earlier")).to_have_text(first)
    assert visitor.answers_of_all()[0] not in ("", first)
    visitor.paste(NF4)
    expect(visitor.candidates).to_have_count(3)
    visitor.compare("Done: 1 of 1 answered", "follow")
    expect(visitor.said).to_contain_text("press Compare for the others")
    visitor.press("new")
    expect(visitor.page.locator("#compare-columns")).to_contain_text("One prompt, several variants")
    expect(visitor.rows).to_have_count(0)


@pytest.mark.slow
def test_stop_ends_all_and_keeps_what_is_there_also_of_a_column_that_is_run_again(visit: Visit) -> None:
    story = "Write a very long story about a robot."
    visitor = without_quality(listed(visit, GGUF, NF4, tokens=1024, prompt=story))
    visitor.press("go")
    expect(visitor.columns.first.locator(".answer")).to_have_text(re.compile(r"\S{2}"), timeout=ANSWER_MS)
    visitor.press("stop")
    expect(visitor.said).to_contain_text("Stopped: 0 of 2 answered to the end", timeout=ANSWER_MS)
    expect(visitor.columns.first.locator(".column-status")).to_contain_text("stopped")
    expect(visitor.columns.last.locator(".column-status")).to_contain_text("Stopped before its turn")
    text = visitor.answers_of_all()
    assert text[0]
    visitor.page.wait_for_timeout(500)
    assert visitor.answers_of_all() == text
    expect(visitor.page.locator("#compare-go")).to_be_enabled()
    expect(visitor.page.locator("#compare-follow")).to_be_enabled()
    visitor.page.evaluate(STOP_AT_ONCE)
    visitor.columns.first.get_by_role("button", name="Run again").click()
    refused = visitor.columns.first.locator("[role=alert]")
    expect(refused).to_contain_text("Stopped. This is its earlier answer.", timeout=ANSWER_MS)
    assert visitor.answers_of_all() == text


@pytest.mark.slow
def test_a_blind_vote_hides_names_until_it_is_cast_and_is_kept(visit: Visit, tmp_path: Path) -> None:
    visitor = without_quality(listed(visit, GGUF, JSON))
    page = visitor.page
    page.locator("#compare-blind input").check()
    visitor.compare("Done: 2 of 2 answered")
    expect(visitor.columns.locator("h3")).to_have_text(["A", "B"])
    hidden = str(page.locator("#compare-columns").inner_html()) + str(page.locator("#compare-results").inner_html())
    assert "gguf" not in hidden
    assert "tok/s" not in hidden
    expect(page.locator("#compare-json")).to_be_disabled()
    answers = visitor.answers_of_all()
    best = "AB"[[text.startswith('{"answer"') for text in answers].index(True)]
    page.get_by_role("button", name=f"{best} is best").click()
    expect(visitor.columns.nth("AB".index(best)).locator("h3")).to_contain_text(f"{best}: nf4+json")
    expect(page.locator("#ranking tbody tr").first).to_contain_text(JSON)
    expect(page.locator("#ranking tbody tr").first).to_contain_text("1 of 1")
    expect(page.locator("#compare-json")).to_be_enabled()
    assert visitor.answers_of_all() == answers
    with page.expect_download() as download:
        page.locator("#votes-export").click()
    download.value.save_as(tmp_path / "votes.json")
    (vote,) = votes_from_json((tmp_path / "votes.json").read_text(encoding="utf-8"))
    assert (vote.winner, set(vote.shown)) == (JSON, {GGUF, JSON})
    page.reload()
    expect(page.locator("#ranking tbody tr")).to_have_count(2, timeout=30_000)
    page.locator("#votes-forget").click()
    expect(page.locator("#ranking")).to_be_hidden()


def test_candidates_are_added_and_removed_without_typing_a_spelling(visit: Visit) -> None:
    visitor = listed(visit, prompt="")
    page, chips = visitor.page, visitor.candidates
    visitor.press("go")
    expect(visitor.said.locator("[role=alert]")).to_contain_text("none was named")
    page.locator("#add-current").click()
    expect(chips).to_have_text([re.compile(r"gguf · \d+ MB ✓")])
    page.locator("#candidates .add-candidate").click()
    page.locator("#add-modes").get_by_label(re.compile(r"^\s*gguf · ")).uncheck()
    for name in ("dynamic-int8", "bf16", "nf4"):
        page.locator("#add-modes").get_by_label(re.compile(rf"^\s*{name} · ")).check()
    page.locator("#add-adapters").get_by_label("Pirate").check()
    page.locator("#add-strengths").get_by_label("0.5").check()
    expect(page.locator("#add-note")).to_contain_text("this server compares at most 6 at once, so the first 5 would")
    expect(page.locator("#add-note")).to_contain_text("dynamic-int8 takes no adapter.")
    page.locator("#add-ticked").click()
    expect(chips).to_have_count(6)
    expect(chips.last).to_contain_text("nf4 · ")
    expect(page.locator("#add-note")).to_contain_text("5 added; 2 found no room")
    page.locator("#candidates").get_by_role("button", name=f"Remove {SMOLLM2}@bf16+pirate", exact=True).focus()
    page.keyboard.press("Enter")
    expect(chips).to_have_count(5)
    expect(page.locator("#candidates button:focus")).to_have_attribute("data-press", NF4)
    visitor.paste(f"{SMOLLM2}@fp4\nnosuchmodel@nf4, {NF4}")
    expect(page.locator("#add-note [role=alert]")).to_contain_text("nosuchmodel")
    expect(page.locator("#add-spelling textarea")).to_have_value("nosuchmodel@nf4")
    expect(chips.last).to_contain_text("fp4 · ")
    page.locator("#make-link").click()
    expect(page.locator("#link textarea")).to_have_value(re.compile(r"variants=smollm2.*gguf.*&tab=compare"))
    page.reload()
    expect(chips).to_have_count(6, timeout=30_000)


@pytest.mark.slow
def test_lists_are_made_of_what_is_picked_on_the_chosen_hardware(visit: Visit) -> None:
    visitor = listed(visit)
    page, chips = visitor.page, visitor.candidates
    page.locator("#preset-modes").click()
    expect(page.locator("#compare-plan").get_by_text("Not available here: ")).to_be_visible()
    expect(chips.first).to_contain_text("fp32")
    expect(page.locator("#compare-plan")).to_contain_text(re.compile(r"All (\d\d|[789]) fit together"))
    page.locator("#preset-strengths").click()
    expect(page.locator("#compare-note")).to_contain_text("Pick an adapter first")
    page.locator("#preset-kinds").click()
    expect(chips).to_have_text([re.compile("^smollm2-135m · "), re.compile(f"^{SMOLLM2} · ")])
    visitor.pick_spelling(f"{SMOLLM2}@nf4+json:0.5")
    expect(page.locator("#chip")).to_contain_text("json:0.5")
    page.locator("#preset-strengths").click()
    expect(chips).to_have_text([re.compile(rf"^nf4\+json{end} · ") for end in (":0", ":0.5", "", ":1.5")])
    page.locator("#preset-adapters").click()
    expect(chips).to_have_text([re.compile(rf"^nf4{end} · ") for end in ("", r"\+json:0.5", r"\+pirate")])
    page.get_by_role("button", name="Bring back the earlier list").click()
    expect(chips).to_have_count(4)
    visitor.pick_hardware("H200")
    visitor.paste("llama-2-13b-chat@bf16")
    expect(chips.last).to_contain_text("✓ on paper")
    expect(page.locator("#compare-plan")).to_contain_text("Planned for ")
    expect(page.locator("#compare-plan")).to_contain_text("does not run on this machine: llama-2-13b-chat@bf16.")


def test_what_is_set_survives_a_reload_and_a_link_wins(visit_echo: Visit) -> None:
    """The tab, the prompt, each kind of option, and why other quantizations are not listed."""
    visitor = visit_echo()
    page = visitor.page
    page.locator("#compare-tab-button").click()
    page.locator("#preset-modes").click()
    candidates = page.locator("#candidates .candidate")
    expect(candidates.nth(1)).to_be_visible()
    visitor.unfold("#compare-options")
    page.locator("#compare-prompt textarea").fill("One\nTwo")
    page.locator("#compare-several input").check()
    page.locator("#compare-quality input").uncheck()
    page.locator("#compare-text textarea").fill("A text of my own.")
    page.locator("#compare-reference input").click()
    last = candidates.last.get_attribute("data-variant") or ""
    page.locator(".options [role=option]").filter(has_text=last).last.click()
    expect(page.locator("#compare-reference input")).to_have_value(last)
    count = candidates.count()

    page.reload()
    expect(page.locator("#compare-prompt textarea")).to_have_value("One\nTwo")
    expect(candidates).to_have_count(count)
    expect(page.locator("#compare-plan")).to_contain_text("Not available here: ")
    expect(page.locator("#compare-several input")).to_be_checked()
    visitor.unfold("#compare-options")
    expect(page.locator("#compare-quality input")).not_to_be_checked()
    expect(page.locator("#compare-text textarea")).to_have_value("A text of my own.")
    expect(page.locator("#compare-reference input")).to_have_value(last)

    visitor.open("tab=compare&prompt=Three")
    expect(page.locator("#compare-prompt textarea")).to_have_value("Three")


@pytest.mark.slow
def test_what_cannot_be_compared_is_said_and_the_rest_runs(visit: Visit) -> None:
    spellings = [GGUF, NF4, TOO_LARGE, f"{NF4}+nosuch", BF16, f"{NF4}+pirate", JSON]
    visitor = without_quality(listed(visit, *spellings, tokens=8))
    page = visitor.page
    for place in (page.locator("#compare-plan"), visitor.said):
        alerts = place.locator("[role=alert]")
        expect(alerts.filter(has_text=f"{JSON} was left out: 7 variants were named, and at most 6")).to_have_count(1)
        expect(alerts.filter(has_text="There is no adapter called “nosuch”")).to_have_count(1)
        if place is not visitor.said:
            visitor.compare("Done: 4 of 4 answered")
    expect(visitor.columns).to_have_count(4)
    expect(visitor.said).to_contain_text("needs about")
    expect(visitor.candidates).to_have_count(7)


@pytest.mark.slow
def test_base_and_chat_are_each_prompted_in_their_own_way(visit: Visit) -> None:
    base = "gemma-3-270m@gguf"
    visitor = without_quality(listed(visit, base, GGUF, tokens=8))
    page = visitor.page
    visitor.unfold("#compare-base-group")
    page.locator("#compare-instruction textarea").fill("Short and true.")
    page.locator("#compare-question-label textarea").fill("Ask:")
    visitor.compare("Done: 2 of 2 answered")
    sent = visitor.columns.locator("details pre")
    assert sent.first.text_content() == f"Short and true.\n\nAsk: {QUESTION}\nA:"
    assert f"<|im_start|>user\n{QUESTION}<|im_end|>" in str(sent.last.text_content())
    visitor.compare("Done: 2 of 2 answered", "follow")
    assert str(sent.first.text_content()).count("Ask:") == 2


@pytest.mark.slow
def test_columns_are_swiped_on_a_phone_and_the_place_is_kept(visit: Visit) -> None:
    visitor = without_quality(listed(visit, GGUF, NF4, tokens=64, viewport={"width": 390, "height": 844}))
    page = visitor.page
    visitor.press("go")
    expect(visitor.columns.last.locator(".answer")).to_have_text(re.compile(r"\S"), timeout=ANSWER_MS)
    expect(page.locator("#compare-stop")).to_be_enabled()
    assert page.evaluate("window.scrollY") > 200, "the columns were brought to the eye while they filled"
    page.evaluate("document.querySelector('.compare-columns').scrollLeft = 10000")
    before = page.evaluate("document.querySelector('.compare-columns').scrollLeft")
    assert before > 200
    expect(visitor.said).to_contain_text("Done: 2 of 2", timeout=ANSWER_MS)
    assert page.evaluate("document.querySelector('.compare-columns').scrollLeft") == before
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_one_pass_gives_the_answers_of_one_after_another(visit: Visit) -> None:
    answers = []
    for together in (True, False):
        visitor = without_quality(listed(visit, NF4, f"{SMOLLM2}@nf4+pirate", JSON))
        visitor.page.locator("#compare-one-pass input").set_checked(together)
        visitor.compare("Done: 3 of 3 answered")
        answers.append(visitor.answers_of_all())
    assert answers[0] == answers[1]


@pytest.mark.slow
def test_another_comparison_ends_the_one_that_runs(visit: Visit) -> None:
    visitor = without_quality(listed(visit, GGUF, NF4, tokens=512, prompt="Write a very long story."))
    visitor.press("go")
    expect(visitor.columns.first.locator(".answer")).to_have_text(re.compile(r"\S"), timeout=ANSWER_MS)
    box = visitor.page.locator("#compare-prompt textarea")
    box.fill("Say hello.")
    box.press("Shift+Enter")
    expect(visitor.page.locator("#compare-columns .asked")).to_have_text("Say hello.", timeout=ANSWER_MS)
    visitor.press("stop")
    expect(visitor.said).to_contain_text(re.compile("Stopped|Done"), timeout=ANSWER_MS)
    expect(visitor.page.locator("#compare-columns .asked")).to_have_text("Say hello.")


@pytest.mark.slow
def test_several_prompts_are_rows_of_each_column(visit: Visit, tmp_path: Path) -> None:
    visitor = without_quality(listed(visit, GGUF, BF16, tokens=4, prompt=""))
    page = visitor.page
    file = tmp_path / "prompts.txt"
    file.write_text("Say yes.\nName a colour.\n")
    page.locator("#several-row input[type=file]").set_input_files(file)
    expect(page.locator("#compare-prompt textarea")).to_have_value("Say yes.\nName a colour.")
    expect(page.locator("#compare-several input")).to_be_checked()
    visitor.compare("Done: 2 of 2 answered")
    for column in visitor.columns.all():
        expect(column.locator(".asked")).to_have_text(["Say yes.", "Name a colour."])
        expect(column.locator(".answer")).to_have_count(2)
    expect(page.locator("#compare-follow")).to_be_disabled()
    with page.expect_download() as download:
        visitor.press("csv")
    assert Path(download.value.path()).read_text(encoding="utf-8").count("Say yes.") == 2
