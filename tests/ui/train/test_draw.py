"""Trainings as they are drawn: what each offers, nothing from outside as markup, both losses as lines."""

from __future__ import annotations

from typing import Any

from models.domain.training_events import Step
from models.training.runs.asked import Asked
from models.training.runs.events import Loss, Seen
from models.training.runs.preview import Preview, Span
from models.training.runs.trainings import Status, Training
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.train import draw
from ui.train.curves import MOST, Curve, plot, thinned

REPORT = {"before": 2.0, "after": 1.0, "seconds": 300, "trained_parameters": 12345}


def training(status: Status, seen: Seen | None = None, name: str = "mine", **more: Any) -> draw.Drawn:
    return draw.Drawn(Training(Asked(name, "smollm2-135m-instruct", "rows.jsonl"), status, seen or Seen(), 1.0, **more))


def presses(drawn: draw.Drawn) -> list[str]:
    return [press.partition(":")[0] for press in Markup(draw.cards([drawn])).values("data-press")]


def test_what_can_be_done_follows_from_where_it_is() -> None:
    learning = Seen(step=Step("train", 3, 9, "steps", tokens_per_s=50, seconds_left=120))
    assert presses(training("running")) == ["stop"]
    assert presses(training("running", learning)) == ["stop", "finish"]
    assert presses(training("running", learning, finishing=True)) == ["stop"]
    assert presses(training("interrupted")) == ["go-on", "remove"]
    assert presses(training("failed", error="No.")) == ["go-on", "remove"]
    assert presses(training("finished", Seen(report=REPORT))) == ["pick", "save", "to-gguf", "push", "remove"]
    text = Markup(draw.cards([training("running", learning)])).text
    assert "3 of 9 steps · 50 tokens/s · 2 min left" in text


def test_how_it_goes_on_is_shown_before_and_now() -> None:
    text = Markup(
        draw.cards([training("running", Seen(samples={"Who are you?": {0: "I am", 3: "A", 6: "Ahoy"}}))])
    ).text
    assert "Who are you?" in text
    assert "beforeI amafter 6 stepsAhoy" in text


def test_a_finished_one_is_compared_with_its_base_on_a_prompt_of_its_data() -> None:
    drawn = draw.Drawn(training("finished", Seen(report=REPORT)).training, "Name a fruit & more")
    page = Markup(draw.cards([drawn]))
    compare, link = page.links()
    assert "variants=smollm2-135m-instruct%2Csmollm2-135m-instruct%2Bmine" in compare
    assert "prompt=Name+a+fruit+%26+more" in compare
    assert "tab=compare" in compare
    assert link == "?variant=smollm2-135m-instruct%2Bmine"
    assert page.values("data-use") == ["smollm2-135m-instruct+mine", *["smollm2-135m-instruct@bf16+mine"] * 2]
    assert "perplexity 7.39 to 2.72" in page.text


def test_nothing_from_outside_becomes_markup() -> None:
    seen = Seen(said=[EVIL], report={}, samples={EVIL: {0: EVIL, 3: EVIL}})
    assert is_harmless(draw.cards([training("failed", seen, EVIL, error=EVIL)]))
    assert is_harmless(draw.preview(Preview(((Span(EVIL, True), Span(EVIL, False)),))))


def test_the_curves_have_a_line_for_each_loss_and_a_point_for_each_look() -> None:
    learning = [Loss(n, 10 * n, 3 - n / 1000) for n in range(1, 1001)]
    seen = Seen(learning, [Loss(0, 0, 3.0), Loss(1000, 10_000, 2.0)])
    drawn = plot([Curve("a", seen, 1), Curve("b", Seen(), 2), Curve("c", Seen(learning[:2], [Loss(0, 0, 9e9)]), 3)])
    assert drawn.count("<path") - drawn.count('class="grid"') == 4
    assert drawn.count('class="point c1"') == 2
    assert len(thinned(learning)) <= MOST
    assert "10k tokens" in drawn.replace(" k", "k")
    assert plot([Curve("b", Seen(), 2)]) == ""
    assert plot([Curve("d", Seen([Loss(1, 5, 1.0)]), 1)])  # one value is a picture, too


def test_a_training_keeps_its_colour_when_another_begins() -> None:
    found = [training("finished", name=name) for name in ("third", "second", "first")]

    def colours(shown: list[draw.Drawn]) -> dict[str, str]:
        page = Markup(draw.cards(shown))
        return dict(zip(page.values("data-name"), [c for c in page.values("class") if "swatch" in c], strict=True))

    now, earlier = colours(found), colours(found[1:])
    assert {name: now[name] for name in earlier} == earlier
    assert len(set(now.values())) == 3


def test_memory_by_part_against_what_is_free() -> None:
    drawn = Markup(draw.memory({"base": 600, "logits": 300, "needed": 900, "free": 500}))
    assert "A step takes 900 B of the 500 B" in drawn.text
    assert "verdict too-large" in drawn.values("class")
    assert drawn.text.count(" B") == 4
