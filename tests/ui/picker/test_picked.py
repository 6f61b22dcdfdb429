"""What is picked is what all that is shown agrees on; a failed pick leaves nothing picked, and bounds never meet."""

from dataclasses import replace

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import ModeNotPossible, NotPicked, UnknownModel
from models.domain.memory.hardware import find_hardware
from models.domain.settings import Settings
from models.domain.variant import ADAPTERS_MAX, AUTO, Variant
from models.runtime import Runtime
from tests.models.weights.tiny_models import HUB_ID, model_files
from ui.picker.picked import Pick, Picked, context_bounds, draw_card, nothing, show, shown

STRENGTHS = [1.0] * ADAPTERS_MAX
CARD, CONTEXT, SPELLING, PICK = 4, 6, 7, 9  # places in Picker.outputs
SMOLLM2 = "smollm2-135m-instruct"


def asked(model=SMOLLM2, mode=AUTO, names=(), spelling=SMOLLM2, pick=None, under_way=""):
    return Picked(model, mode, list(names), STRENGTHS, spelling, pick or Pick(SMOLLM2), 512, "", under_way)


@pytest.fixture(scope="module")
def here():
    """A Runtime of the catalog, without a model in it."""
    return Runtime(Settings(hub_ids=False))


def test_lists_and_box_that_agree_are_the_variant():
    assert asked().variant == Variant(SMOLLM2)
    assert asked(mode="nf4", names=["a"], spelling=f" {SMOLLM2}@nf4+a ").variant == Variant.parse(f"{SMOLLM2}@nf4+a")


@pytest.mark.parametrize(
    "values",
    [
        asked(model="gemma-3-270m"),  # picked a moment ago: the box follows when the server has answered
        asked(mode="nf4"),
        asked(under_way="nf4"),  # pressed, and not drawn yet
        asked(names=["pirate"]),
        asked(spelling=f"{SMOLLM2}@nf4"),  # typed, and Enter not pressed
        asked(spelling="a b"),
        asked(spelling=""),
        asked(spelling=None),
        asked(model=None),
        asked(pick=Pick(SMOLLM2, "nope", "There is no such thing.")),
    ],
)
def test_anything_else_is_not_picked(values):
    with pytest.raises(NotPicked, match="Nothing was run"):
        _ = values.variant


def test_the_reason_of_a_failed_pick_is_passed_on():
    with pytest.raises(NotPicked, match=r"because “nope” is not selected\. There is no such thing\."):
        _ = asked(spelling="nope", pick=Pick(SMOLLM2, "nope", "There is no such thing.")).variant


@pytest.mark.parametrize("spelling", ["nope", f"{SMOLLM2}@q9", f"{SMOLLM2}+parrot", f"{SMOLLM2}@dynamic-int8+pirate"])
def test_a_failed_pick_says_why_and_offers_the_way_back(here, spelling):
    values = shown(here, lambda: Variant.parse(spelling), Pick(SMOLLM2))
    assert values[SPELLING] == spelling
    assert f'data-press="{SMOLLM2}"' in values[CARD]
    assert "data-variant" not in values[CARD], "the address keeps what was picked"
    assert (values[PICK].spelling, values[PICK].tried) == (SMOLLM2, spelling)
    with pytest.raises(NotPicked):
        _ = asked(spelling=spelling, pick=values[PICK]).variant


def test_a_link_that_names_nothing_usable_picks_nothing(here):
    values = nothing(here, "<nope>", SMOLLM2, UnknownModel(model="<nope>", suggestion="Pick one."))
    assert (values[0], values[SPELLING]) == ("", "<nope>")
    assert "<nope>" not in values[CARD]
    with pytest.raises(NotPicked):
        _ = Picked(None, None, [], STRENGTHS, values[SPELLING], values[PICK]).variant


def test_values_in_the_order_of_the_outputs(here):
    good = show(here, Variant(SMOLLM2))
    assert len(good) == len(nothing(here, "x", "y", UnknownModel(model="x", suggestion="."))) == 10 + ADAPTERS_MAX + 5
    assert len(shown(here, lambda: Variant("nope"), Pick())) == len(good)
    assert good[PICK] == Pick(SMOLLM2)
    assert asked(pick=good[PICK]).variant == Variant(SMOLLM2)


def test_a_toy_offers_a_good_model_where_that_fits(here):
    offer = 'data-press="qwen2.5-coder-1.5b-instruct">Use it: 1.1 GB'
    assert offer in show(here, Variant(SMOLLM2))[CARD]
    assert offer in draw_card(here, asked())
    assert "answers well" not in show(here, Variant("qwen2.5-0.5b-instruct"))[CARD]
    assert "answers well" not in show(here, Variant(SMOLLM2), hardware=find_hardware("1"))[CARD]
    assert "Use it: 3.1 GB" in show(here, Variant(SMOLLM2), hardware=find_hardware("24"))[CARD], "in bf16"


def test_a_mode_gives_way_only_where_it_was_not_what_was_picked(here):
    adapter = Variant.parse(f"{SMOLLM2}@dynamic-int8+pirate")
    values = show(here, adapter, or_auto=True)
    assert values[SPELLING] == f"{SMOLLM2}+pirate"
    assert "the quantization is now auto" in values[CARD]
    assert f'data-press="{SMOLLM2}@dynamic-int8"' in values[CARD]
    with pytest.raises(ModeNotPossible):
        show(here, adapter)


def test_a_card_is_not_drawn_over_the_reason(here):
    assert 'data-variant="' in draw_card(here, asked())
    skipped = gr.skip()
    assert draw_card(here, asked(pick=Pick(SMOLLM2, "nope", "No."))) == skipped
    assert draw_card(here, asked(spelling=f"{SMOLLM2}@nf4")) == skipped


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_the_ends_of_the_context_slider_never_meet(longest, here):
    low, high, step = context_bounds(longest, min(longest, here))
    assert 0 <= low < high == longest
    assert low <= min(longest, here) <= high
    assert (high - low) % step == 0
    assert (min(longest, here) - low) % step == 0
    gr.Slider(low, high, value=min(longest, here), step=step)


@pytest.mark.parametrize("context", [16, 17, 256, 511, 512, 513, 1024])
def test_a_short_context_has_a_card(tmp_path, context):
    folder = tmp_path / HUB_ID
    folder.mkdir(parents=True)
    for name, data in model_files(max_position_embeddings=context).items():
        (folder / name).write_bytes(data)
    runtime = Runtime(Settings(models_dir=str(tmp_path)))
    variant = Variant(HUB_ID, "fp32")
    for before in (None, 16, 4096):
        values = show(runtime, variant, before)
        assert values[SPELLING] == f"{HUB_ID}@fp32"
        assert f"with a context of {values[CONTEXT].value:,} tokens" in values[CARD]
        assert values[CONTEXT].minimum <= values[CONTEXT].value <= values[CONTEXT].maximum == context
    picked = asked(HUB_ID, "fp32", spelling=f"{HUB_ID}@fp32")
    assert "data-variant" in draw_card(runtime, replace(picked, context=4096))


@pytest.mark.parametrize("settings", [{"context": 1}, {"context": 512}, {"context": 700}, {"max_new_tokens": 1}])
def test_an_operators_low_limit_leaves_the_page_whole(settings):
    from ui.layout import build_app

    runtime = Runtime(Settings(**settings))
    page = build_app(runtime)
    for slider in (block for block in page.blocks.values() if isinstance(block, gr.Slider)):
        assert slider.minimum < slider.maximum
        assert slider.minimum <= slider.value <= slider.maximum
    assert show(runtime, Variant(SMOLLM2))[CONTEXT].value == min(8192, runtime.settings.context)
