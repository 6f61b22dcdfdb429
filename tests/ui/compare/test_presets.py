"""Lists that are ready made: related models that fit, the modes of one, its adapters, its counterpart."""

from dataclasses import replace

from models.domain.memory.model_info import ModelInfo, Offer
from models.domain.results.contenders import check_variants
from models.domain.variant import AdapterChoice, Variant
from ui.compare.presets import base_and_chat, sizes, strengths, with_adapters


def model(key, parameters, kind="instruct", fits=True, family="F"):
    plans = {"gguf": Offer(1, 1, fits)}
    return ModelInfo(
        key, key, family, kind, f"o/{key}", parameters, 2048, 2048, "MIT", "", False, "gguf", plans, {}, False, ()
    )


MODELS = [
    model("big", 7_000), model("small", 100), model("small-base", 99, "base"), model("huge", 70_000, fits=False),
    model("other", 100, family="G"), replace(model("nothing", 5), auto="", plans={}),
]  # fmt: skip


def spelled(variants):
    return [str(variant) for variant in variants]


def test_sizes_are_of_one_family_and_kind_and_fit():
    assert spelled(sizes(MODELS, "big")) == ["small@gguf", "big@gguf"]
    assert spelled(sizes(MODELS, "o/big")) == ["small@gguf", "big@gguf"]
    assert sizes(MODELS, "unknown") == []


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
