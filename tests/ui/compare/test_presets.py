"""Lists that are ready made: related models that fit, the modes of one, its adapters, its counterpart."""

from dataclasses import replace

from models.domain.memory.model_info import ModelInfo, Offer
from models.domain.results.contenders import check_variants
from models.domain.variant import AdapterChoice, Variant
from ui.compare.presets import base_and_chat, sizes, strengths, with_adapters


def model(key, millions, kind="instruct", fits=True, family="F", gated=False, offline=False):
    plans = {"gguf": Offer(1, 1, fits)}
    size = millions * 10**6
    return ModelInfo(
        key, key, family, kind, f"o/{key}", size, 2048, 2048, "MIT", "", gated, "gguf", plans, {}, offline, ()
    )


MODELS = [
    model("big", 7_000), model("small", 1_000), model("small-base", 990, "base"), model("huge", 70_000, fits=False),
    model("other", 1_000, family="G"), replace(model("nothing", 5_000), auto="", plans={}),
]  # fmt: skip


def spelled(variants):
    return [str(variant) for variant in variants]


def test_sizes_that_fit_differ_and_those_of_its_family_come_first():
    assert spelled(sizes(MODELS, "big", 6)) == ["small@gguf", "big@gguf"]
    assert spelled(sizes(MODELS, "o/other", 6)) == ["other@gguf", "big@gguf"]
    assert spelled(sizes(MODELS, "small-base", 6)) == ["small-base@gguf", "big@gguf"]
    assert sizes(MODELS, "unknown", 6) == []


def test_sizes_stand_together_across_families_with_those_that_need_no_hub_first():
    toy = model("toy", 135, family="S", offline=True)
    others = [
        model("toy-base", 270, "base", family="G", offline=True), model("good", 1_500, family="Q", offline=True),
        model("near", 1_700, family="S"), model("gated", 3_000, family="L", gated=True),
        model("open", 3_200, family="M"), model("larger", 8_000, family="M"),
    ]  # fmt: skip
    models = [toy, *others]
    assert spelled(sizes(models, "toy", 6)) == ["toy@gguf", "toy-base@gguf", "good@gguf"]
    assert spelled(sizes(models, "toy", 2)) == ["toy@gguf", "good@gguf"], "chat models first"
    assert spelled(sizes(models, "good", 6)) == ["good@gguf", "open@gguf", "larger@gguf"], "no toys"
    assert spelled(sizes(models, "open", 6)) == ["good@gguf", "open@gguf", "larger@gguf"]


def test_a_base_and_each_of_its_adapters():
    found = with_adapters(Variant.parse("m@nf4"), [AdapterChoice("mine", 0.5), AdapterChoice("json")])
    assert spelled(found) == ["m@nf4", "m@nf4+mine:0.5", "m@nf4+json"]
    assert check_variants(spelled(found), 6)
    assert with_adapters(Variant.parse("m"), []) == []


def test_strengths_are_those_of_the_first_adapter():
    found = spelled(strengths(Variant.parse("m@nf4+mine:0.7+json")))
    assert found == ["m@nf4+mine:0+json", "m@nf4+mine:0.5+json", "m@nf4+mine+json", "m@nf4+mine:1.5+json"]
    assert strengths(Variant.parse("m@nf4")) == []


def test_the_base_stands_before_its_chat_model():
    pair = ["small-base@gguf", "small@gguf"]
    assert spelled(base_and_chat(MODELS, "small", "nf4")) == spelled(base_and_chat(MODELS, "small-base")) == pair
    assert base_and_chat(MODELS, "big") == []
    assert base_and_chat(MODELS, "unknown") == []
