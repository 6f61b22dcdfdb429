"""The list of candidates: planned for the visitor's hardware, drawn as chips, filled up to the server's limit."""

import pytest

from models.domain.memory.hardware import find_hardware
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.runtime import Runtime
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare.candidates import Target, chips, extended, find_candidates, not_run, plan_sentences

BF16, NF4, PIRATE = (f"smollm2-135m-instruct@{end}" for end in ("bf16", "nf4", "nf4+pirate:0.5"))
LARGE = "llama-2-70b-chat@bf16"


@pytest.fixture(scope="module")
def runtime():
    return Runtime(Settings())


def test_each_has_its_figure_its_mark_and_a_button_that_removes_it(runtime):
    found = find_candidates(runtime, [BF16, PIRATE, LARGE, "nosuch"], Target())
    markup = Markup(chips(found))
    assert [Variant.parse(text).model for text in markup.values("data-press")] == [
        *["smollm2-135m-instruct"] * 2,
        "llama-2-70b-chat",
        "nosuch",
    ]
    assert f"Remove {LARGE}" in markup.values("aria-label")
    assert [bool(candidate.refused) for candidate in found] == [False, False, True, True]
    assert [label for label in markup.values("aria-label") if label in ("fits", "too large", "cannot be planned")] == [
        "fits", "fits", "too large", "cannot be planned",
    ]  # fmt: skip
    assert "860 MB" in markup.text
    assert "nosuch" in Markup(plan_sentences(found, None)).text


def test_names_are_short_where_one_model_is_compared(runtime):
    text = Markup(chips(find_candidates(runtime, [BF16, PIRATE], Target()))).text
    assert "bf16 · 860 MB" in text
    assert "nf4+pirate:0.5 · " in text
    assert "smollm2" not in text


def test_what_fits_other_hardware_only_is_planned_on_paper(runtime):
    there = find_hardware("400")
    found = find_candidates(runtime, [LARGE, BF16], Target(there))
    assert [candidate.on_paper for candidate in found] == [True, False]
    assert "on paper" in Markup(chips(found)).text
    said = Markup(plan_sentences(found, there)).text
    assert said.startswith("Planned for GPU with 400 GB: All 2 fit together")
    short = LARGE.partition("@")[0]
    assert f"Planned on paper, does not run on this machine: {short}." in said
    left_out = Markup(not_run(found)).text
    assert left_out.startswith(f"{short} was not run: it does not run on this machine. Planned for GPU with 400 GB: ")
    assert "bf16" not in left_out


def test_the_context_to_plan_for_is_that_of_its_own_model(runtime):
    def tokens(target):
        return [candidate.plan.context for candidate in find_candidates(runtime, [BF16, "smollm2-360m@bf16"], target)]

    here = runtime.settings.context
    assert tokens(Target()) == [here, here]
    assert tokens(Target(None, "smollm2-135m-instruct", 512)) == [512, here]
    assert tokens(Target(None, "llama-3.1-8b", 100_000)) == [8192, 8192]


def test_a_list_takes_what_is_new_up_to_the_limit():
    wanted = [Variant.parse(text) for text in ("m@a", "m@b", "m@b", "n@c", "m@d")]
    assert extended(["m@a", "?"], wanted, 4) == (["m@a", "?", "m@b", "n@c"], 2, 1)
    of_one = [variant for variant in wanted if variant.model == "m"]
    assert extended([], of_one, 1) == (["m@a", "m@b", "m@d"], 3, 0)
    assert extended(["m@a"], wanted[:1], 4) == (["m@a"], 0, 0)


def test_what_comes_from_outside_is_escaped(runtime):
    found = find_candidates(runtime, [EVIL], Target())
    assert is_harmless(chips(found) + plan_sentences(found, None) + not_run(found))
