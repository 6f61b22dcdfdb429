"""The notation of variants: what is spelled comes back, and what could be a path or a trick is refused."""

import pickle
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.errors import BadSpelling, ModelIsAPath, PaddockError
from models.domain.variant import ADAPTER_WEIGHT_BOUNDS, LONGEST_SPELLING, AdapterChoice, Variant

part = st.tuples(st.sampled_from("aZ9"), st.text("bY0._-", max_size=6)).map("".join).filter(lambda t: ".." not in t)
name = st.one_of(
    part,
    st.builds("{}/{}".format, part, part),
    st.builds("{}/{}={}".format, part, part, part),
)
weight = st.one_of(st.just(1.0), st.floats(*ADAPTER_WEIGHT_BOUNDS), st.integers(-2, 2))
variants = st.builds(
    Variant,
    name,
    st.one_of(st.just("auto"), st.sampled_from(["nf4", "bf16", "4-bit_x", "gguf/kv8", "gguf-q8_0/kv4"])),
    st.lists(st.builds(AdapterChoice, name, weight), max_size=4, unique_by=lambda choice: choice.name).map(tuple),
)


@settings(max_examples=100, deadline=None, database=None)
@given(variants)
def test_spelling_comes_back(variant):
    assert Variant.parse(str(variant)) == variant


def test_a_listed_model_may_be_typed_in_any_case_and_a_hub_id_is_as_it_is():
    assert Variant.parse("SmolLM2-135M-Instruct@nf4") == Variant("smollm2-135m-instruct", "nf4")
    assert Variant.parse("Qwen/Qwen3-0.6B").model == "Qwen/Qwen3-0.6B"


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(st.sampled_from("aZ0.-_/=@+:~\\ \n\x00é1e9"), max_size=24))
def test_any_text_is_a_variant_or_a_spelling_error(text):
    with suppress(BadSpelling, ModelIsAPath):
        variant = Variant.parse(text)
        assert Variant.parse(str(variant)) == variant


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("smollm2-135m", Variant("smollm2-135m")),
        (" smollm2-135m\n", Variant("smollm2-135m")),
        ("m@auto", Variant("m")),
        ("m@nf4", Variant("m", "nf4")),
        ("m+a", Variant("m", adapters=(AdapterChoice("a"),))),
        (
            "m@nf4+pirate:0.8+o/n=v1:-2",
            Variant("m", "nf4", (AdapterChoice("pirate", 0.8), AdapterChoice("o/n=v1", -2))),
        ),
        ("owner/name=v1.0", Variant("owner/name=v1.0")),
        ("owner/name@gguf-q4_k_m/kv8", Variant("owner/name", "gguf-q4_k_m/kv8")),
    ],
)
def test_parse(text, variant):
    assert Variant.parse(text) == variant


@pytest.mark.parametrize(
    ("variant", "text"),
    [
        (Variant("m", "auto", (AdapterChoice("a", 1),)), "m+a"),
        (Variant("m", "nf4", (AdapterChoice("a", 0), AdapterChoice("b", 0.5))), "m@nf4+a:0+b:0.5"),
        (Variant("m").resolved("gguf"), "m@gguf"),
    ],
)
def test_spelling(variant, text):
    assert str(variant) == text


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "../model",
        "owner/../name",
        "~/model",
        "C:\\model",
        "a/b/c",
        "a//b",
        "https://huggingface.co/owner/name",
        ".hidden",
        "m+../adapter",
    ],
)
def test_paths_and_addresses_are_refused(text):
    with pytest.raises(ModelIsAPath):
        Variant.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+a",
        "m@",
        "m@NF4",
        "m@/kv8",
        "m@gguf/",
        "m@gguf/kv8/kv8",
        "m@" + "q" * 33,
        "m+",
        "m++a",
        "m+a:",
        "m+a:b",
        "m+a:nan",
        "m+a:inf",
        "m+a:2.001",
        "m+a:-2.001",
        "m+a+a",
        "m+a:1+a:0.5",
        "m n",
        "mödel",
        "m=main",
        "owner/name=",
        "-m",
        "m" * 97,
        "m" * (LONGEST_SPELLING + 1),
        "m" + "+a" * LONGEST_SPELLING,
    ],
)
def test_bad_spelling_is_refused(text):
    with pytest.raises(BadSpelling) as caught:
        Variant.parse(text)
    assert len(caught.value.message) < LONGEST_SPELLING + 200


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -2.5, True, "1", None])
def test_bad_weights_are_refused_from_code_too(weight):
    with pytest.raises(BadSpelling):
        AdapterChoice("a", weight)


def test_a_variant_too_long_to_spell_is_refused():
    adapters = tuple(AdapterChoice(f"{letter * 90}/{letter * 90}") for letter in "abc")
    with pytest.raises(BadSpelling, match="longer than"):
        Variant("m", adapters=adapters)


def test_variants_are_plain_values():
    variant = Variant.parse("m@nf4+a:0.5")
    assert {variant: 1}[pickle.loads(pickle.dumps(variant))] == 1
    assert issubclass(BadSpelling, PaddockError)
