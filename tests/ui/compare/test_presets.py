"""Lists that are ready made: related models that fit, the modes of one, its adapters, its counterpart."""

from dataclasses import replace

from models.domain.memory.model_info import ModelInfo, Offer
from models.domain.results.contenders import check_variants
from models.domain.variant import Variant
from ui.compare.presets import base_and_chat, sizes, with_adapters


def model(key, parameters, kind="instruct", fits=True, family="F"):
    plans = {"gguf": Offer(1, 1, fits)}
    return ModelInfo(
        key, key, family, kind, f"o/{key}", parameters, 2048, 2048, "MIT", "", False, "gguf", plans, {}, False, ()
    )


MODELS = [
    model("big", 7_000), model("small", 100), model("small-base", 99, "base"), model("huge", 70_000, fits=False),
    model("other", 100, family="G"), replace(model("nothing", 5), auto="", plans={}),
]  # fmt: skip


def test_sizes_are_of_one_family_and_kind_and_fit():
    assert sizes(MODELS, "big", 6) == ["small", "big"]
    assert sizes(MODELS, "o/big", 6) == ["small", "big"]
    assert sizes(MODELS, "big", 1) == ["small"]
    assert sizes(MODELS, "unknown", 6) == []


def test_a_base_and_each_of_its_adapters():
    found = with_adapters(Variant.parse("m@nf4"), ["pirate", "json"], 6)
    assert found == ["m@nf4", "m@nf4+pirate", "m@nf4+json"]
    assert check_variants(found, 6)
    assert with_adapters(Variant.parse("m"), [], 6) == []
    assert len(with_adapters(Variant.parse("m"), list("abcdefgh"), 6)) == 6


def test_the_base_stands_before_its_chat_model():
    assert base_and_chat(MODELS, "small") == base_and_chat(MODELS, "small-base") == ["small-base", "small"]
    assert base_and_chat(MODELS, "big") == []
    assert base_and_chat(MODELS, "unknown") == []
