"""The picker's lines and the card: what a variant takes, whether it fits, what does, and what was measured."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from models.domain.memory.model_info import ModelInfo, Offer
from models.domain.memory.plan import LABELS, Budget, LoadPlan, Part
from models.domain.variant import Variant
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.picker import card as render_card
from ui.picker.quantizations import quantization_table

PLANS = {
    "bf16": Offer(269_000_000, 700_000_000, True, 700_000_000),
    "nf4": Offer(111_000_000, 600_000_000, True, 600_000_000),
}
MODEL = ModelInfo(
    key="m",
    title="Model",
    family="F",
    kind="instruct",
    hub_id="owner/name",
    parameters=135_000_000,
    context=2048,
    context_here=2048,
    licence="MIT",
    licence_url="https://example.org/licence",
    gated=False,
    auto="nf4",
    plans=PLANS,
    refused={},
    without_hub=False,
    on_this_machine=(),
)
PARTS = (Part("quantized", "quantized weights", 100_000_000), Part("kv", "KV cache", 60_000_000))
ROOMY = LoadPlan("m@nf4", "nf4", 2048, 1, PARTS, 0, Budget("main memory", 32_000_000_000, 16_000_000_000))
TIGHT = LoadPlan("m@nf4", "nf4", 2048, 1, PARTS, 0, Budget("main memory", 200_000_000, 80_000_000))
HELD = SimpleNamespace(engine="transformers", predicted_bytes=111_000_000, bytes=112_400_000, load_s=2.71)


def planned(mode="nf4", **changes):
    return LoadPlan(**{**vars(ROOMY), "variant": f"m@{mode}", "mode": mode, **changes})


def shown(change=(), plan=ROOMY, nearest=(), held=None):
    return render_card.card(replace(MODEL, **dict(change)), plan, nearest, held)


@pytest.mark.parametrize("field", ["title", "hub_id", "licence", "licence_url", "key"])
def test_cards_are_escaped(field):
    for text in (EVIL, f"https://example.org/{EVIL}"):
        assert is_harmless(shown({field: text}))
        evil = replace(MODEL, auto="", plans={EVIL: PLANS["nf4"]}, refused={EVIL: EVIL})
        assert is_harmless(quantization_table(evil, EVIL, {EVIL: EVIL}))
    evil = LoadPlan(EVIL, EVIL, 1, 1, (Part("kv", EVIL, 1),), 0, Budget(EVIL, 1, 0))
    assert is_harmless(shown(plan=evil, nearest=[evil]))


@pytest.mark.parametrize(
    ("address", "links"),
    [
        ("https://example.org/licence", 2),
        ("javascript:alert(1)", 1),
        ("JavaScript:alert(1)", 1),
        ("data:text/html,x", 1),
        ("http://example.org", 1),
        ("//example.org", 1),
        (" https://example.org", 1),
        ("", 1),
    ],
)
def test_a_licence_is_a_link_only_to_https(address, links):
    markup = Markup(shown({"licence_url": address}))
    assert len(markup.links()) == links
    assert all(link.startswith("https://") for link in markup.links())
    assert "MIT" in markup.text


def test_what_fits_says_so():
    markup = Markup(shown())
    assert "nf4 fits: 160 MB must be free, 16.0 GB of main memory available" in markup.text
    assert "with a context of 2,048 tokens" in markup.text
    assert "conversations" not in markup.text
    assert not markup.values("data-press")
    assert markup.values("data-variant") == ["m@nf4"]
    assert "too-large" not in shown()


def test_what_does_not_fit_says_what_would():
    html = shown(plan=TIGHT, nearest=[planned("fp4"), planned("int8")])
    assert "nf4 does not fit: 160 MB must be free, 80 MB of main memory available" in Markup(html).text
    assert Markup(html).values("data-press") == ["m@fp4", "m@int8"]
    assert "m@fp4 · 160 MB" in Markup(html).text
    assert "too-large" in html
    assert 'class="meter"' in html
    assert "left:50.00%" in html, "the mark stands where memory ends"
    nothing = render_card.verdict(planned(budget=Budget("main memory", 0, -5)))
    assert "0 B of main memory available" in Markup(nothing).text


def test_parts_add_up():
    html = render_card.parts(ROOMY)
    assert "width:62.50%" in html
    assert "width:37.50%" in html
    assert Markup(html).text.startswith("quantized weights100 MBKV cache60 MB")
    assert "4 conversations at once" in render_card.parts(planned(batch=4))


@pytest.mark.parametrize("key", LABELS)
def test_every_part_says_what_it_is(key):
    (title,) = set(Markup(render_card.parts(planned(parts=(Part(key, LABELS[key], 1_000),)))).values("title"))
    assert title.startswith(f"{LABELS[key]}, 1 kB: ")


def test_measured_stands_beside_predicted():
    assert "Loaded in 2.7 s: weights 111 MB predicted, 112 MB measured" in Markup(shown(held=HELD)).text
    loading = SimpleNamespace(engine="", predicted_bytes=1, bytes=0, load_s=0)
    for nothing in (None, loading):
        assert "measured" not in shown(held=nothing)


@pytest.mark.parametrize(
    ("change", "mode", "words"),
    [
        ({"on_this_machine": ["gguf"]}, "gguf", "on this machine"),
        ({"on_this_machine": ["gguf"]}, "nf4", "from the Hub"),
        ({"gated": True}, "nf4", "after you accept the licence"),
        ({"without_hub": True}, "gguf", "package index"),
        ({"without_hub": True}, "nf4", "converted to safetensors"),
        ({"on_this_machine": ["gguf"]}, "gguf-q8_0", "of this label"),
    ],
)
def test_where_files_come_from(change, mode, words):
    assert words in Markup(shown(change, planned(mode))).text.split("Files")[1]


def test_context_says_when_the_operator_gives_less():
    assert "Context2,048 tokens" in Markup(shown()).text
    assert "Context512 of its 2,048 tokens" in Markup(shown({"context_here": 512})).text


def test_what_adapters_change_is_said_with_a_way_back():
    refusing = replace(MODEL, refused={"dynamic-int8": "Its layers take no LoRA."})
    drawn = Markup(render_card.gave_way(Variant.parse("m@dynamic-int8+pirate"), refusing))
    assert drawn.text.startswith("dynamic-int8 cannot be used with adapters here, so the quantization is now auto.")
    assert "Its layers take no LoRA." in drawn.text
    assert 'data-press="m@dynamic-int8"' in render_card.gave_way(Variant.parse("m@dynamic-int8+pirate"), refusing)


def test_a_toy_says_so_and_offers_a_good_one():
    drawn = render_card.toy("good", "Good 1.5B", 1_117_320_768)
    text = Markup(drawn).text
    assert text == "This model is a toy, good for trying the page. Good 1.5B answers well. Use it: 1.1 GB"
    assert Markup(drawn).values("data-press") == ["good"]
    assert is_harmless(render_card.toy(EVIL, EVIL, 1))
    assert drawn in render_card.card(MODEL, ROOMY, note=drawn)
