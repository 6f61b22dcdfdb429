"""What `auto` means on a machine, why a mode cannot run, and which files each mode is loaded from."""

from dataclasses import replace

import pytest

from models.domain.catalog import GgufFile, Quantized, gguf_label, load_catalog
from models.domain.errors import ModeNotPossible
from models.domain.lora import LoraConfig
from models.domain.quantization import (
    GGUF_BITS,
    MODES,
    Machine,
    card_for,
    mode_named,
    modes_of,
    possible_modes,
    resolve,
    why_not,
)
from models.domain.shapes.read import read_shape
from models.domain.variant import Variant

CATALOG = load_catalog()
BOTH = frozenset({"bitsandbytes", "gptqmodel", "optimum"})
CPU, CUDA, MPS = Machine("cpu", BOTH), Machine("cuda", BOTH), Machine("mps", BOTH)
OLD_GPU = Machine("cuda", BOTH, native_bf16=False)
MACHINES = [CPU, CUDA, MPS, OLD_GPU, Machine("cpu"), Machine("cuda"), Machine("mps")]

WITH_GGUF = CATALOG["smollm2-135m-instruct"]
WHEEL_ONLY = replace(WITH_GGUF, gguf=None)
HUB_ONLY = replace(WITH_GGUF, wheel=None)
WITHOUT = replace(WITH_GGUF, gguf=None, wheel=None)
WITH_FORMS = replace(WITHOUT, quantized=(Quantized("gptq", "o/n-GPTQ", "a" * 40), Quantized("awq", "o/n-AWQ")))
GPTQ_ITSELF = replace(WITHOUT, checkpoint="gptq")
NF4_ITSELF = replace(WITHOUT, checkpoint="nf4")


SHAPE = {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 160, "num_attention_heads": 2}
HEADS_OF_80 = replace(WITH_GGUF, shape=read_shape(SHAPE | {"intermediate_size": 64, "vocab_size": 64}))
OTHER_KIND = replace(WITH_GGUF, shape=replace(WITH_GGUF.sizes, model_type="phi3"))
OTHER_ADAPTERS = "llama.cpp applies adapters here to the architectures llama, mistral, qwen2, qwen3, gemma3_text only"
NO_TYPE = "kv5 is no type of KV cache; there are kv8 (q8_0) and kv4 (q4_0), and f16 where none is named"
NAMED_GGUF = "only llama.cpp has a quantized KV cache, in a mode that is named, as in gguf/kv8"


def named(name, card=WITH_GGUF):
    mode = mode_named(name, card)
    assert mode is not None
    return mode


@pytest.mark.parametrize(
    ("spelling", "card", "machine", "mode"),
    [
        ("m", WITH_GGUF, CPU, "gguf"),
        ("m", WHEEL_ONLY, CPU, "gguf"),
        ("m", HUB_ONLY, CPU, "gguf"),
        ("m", WITHOUT, CPU, "nf4"),
        ("m", WITHOUT, Machine("cpu"), "fp32"),
        ("m+pirate", WITH_GGUF, CPU, "gguf"),
        ("m+pirate", OTHER_KIND, CPU, "nf4"),
        ("m@gguf-q8_0/kv8+pirate", WITH_GGUF, CPU, "gguf-q8_0/kv8"),
        ("m", WITH_GGUF, CUDA, "bf16"),
        ("m", WITH_GGUF, OLD_GPU, "fp16"),
        ("m+pirate", WITHOUT, CUDA, "bf16"),
        ("m", WITH_GGUF, MPS, "fp16"),
        ("m@gguf", WITH_GGUF, CUDA, "gguf"),
        ("m@gguf-q8_0", WITH_GGUF, CPU, "gguf-q8_0"),
        ("m@gguf/kv8", WITH_GGUF, CUDA, "gguf/kv8"),
        ("m@gguf-q8_0/kv4", WITH_GGUF, CPU, "gguf-q8_0/kv4"),
        ("m@int8+pirate", WITH_GGUF, CPU, "int8"),
        ("m@awq", WITH_FORMS, CUDA, "awq"),
        ("m@gptq", GPTQ_ITSELF, CPU, "gptq"),
        ("m", GPTQ_ITSELF, CUDA, "gptq"),
        ("m", NF4_ITSELF, CUDA, "nf4"),
    ],
)
def test_resolve(spelling, card, machine, mode):
    assert resolve(Variant.parse(spelling), card, machine).name == mode


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("card", [WITH_GGUF, WITHOUT, WITH_FORMS])
@pytest.mark.parametrize("adapters", ["", "+pirate"])
def test_auto_is_always_possible_and_so_is_all_that_is_offered(machine, card, adapters):
    offered = possible_modes(card, machine, [None] if adapters else ())
    assert resolve(Variant.parse(f"m{adapters}"), card, machine) in offered
    for mode in offered:
        assert resolve(Variant.parse(f"m@{mode.name}{adapters}"), card, machine) == mode


@pytest.mark.parametrize(
    ("card", "machine", "fitting", "mode"),
    [
        (WITHOUT, CUDA, {"bf16", "nf4"}, "bf16"),
        (WITHOUT, CUDA, {"nf4"}, "nf4"),
        (WITHOUT, CUDA, set(), "bf16"),
        (WITHOUT, OLD_GPU, {"bf16", "nf4"}, "nf4"),
        (WITH_GGUF, CPU, {"nf4"}, "nf4"),
        (WITH_GGUF, CPU, set(), "gguf"),
        (WITHOUT, Machine("cuda"), {"nf4"}, "bf16"),
        (NF4_ITSELF, CUDA, set(), "nf4"),
    ],
)
def test_auto_takes_the_first_that_fits_else_the_first(card, machine, fitting, mode):
    assert resolve(Variant("m"), card, machine, lambda mode: mode.name in fitting).name == mode


def test_what_is_asked_for_by_name_need_not_fit():
    assert resolve(Variant("m", "fp32"), WITHOUT, CPU, lambda mode: False).name == "fp32"


@pytest.mark.parametrize(
    ("spelling", "card", "machine", "reason"),
    [
        ("m@fp16", WITH_GGUF, CPU, "it needs cuda or mps, and this machine has cpu"),
        ("m@nf4", WITH_GGUF, MPS, "it needs cpu or cuda, and this machine has mps"),
        ("m@gguf", WITHOUT, CPU, "no GGUF file of it is known"),
        ("m@gguf+pirate", OTHER_KIND, CPU, OTHER_ADAPTERS),
        ("m@gptq+pirate", WITH_FORMS, CUDA, "it takes no LoRA adapters"),
        ("m@dynamic-int8+pirate", WITH_GGUF, CPU, "it takes no LoRA adapters"),
        ("m@int3", WITHOUT, CPU, f"there is no such mode; there are {', '.join(MODES)}"),
        ("m@gguf-q4_k_m", WHEEL_ONLY, CPU, f"there is no such mode; there are {', '.join(MODES)}"),
        ("m@gguf/kv8", WITHOUT, CPU, "no GGUF file of it is known"),
        ("m@bf16/kv8", WITH_GGUF, CPU, NAMED_GGUF),
        ("m@auto/kv8", WITH_GGUF, CPU, NAMED_GGUF),
        (
            "m@gguf/kv5",
            WITH_GGUF,
            CPU,
            NO_TYPE,
        ),
        ("m@gguf/kv8", HEADS_OF_80, CPU, "its heads have 80 values, and a quantized KV cache is made of blocks of 32"),
        ("m@int3/kv8", WITHOUT, CPU, f"there is no such mode; there are {', '.join(MODES)}"),
        ("m@nf4", WITH_GGUF, Machine("cpu"), "it needs bitsandbytes to be installed"),
        ("m@gptq", WITH_FORMS, Machine("cuda"), "it needs gptqmodel and optimum to be installed"),
        ("m@gptq", WITHOUT, CUDA, "no repository with its GPTQ weights is known"),
        ("m@bf16", GPTQ_ITSELF, CUDA, "its weights are quantized already, as gptq"),
        ("m@fp4", NF4_ITSELF, CUDA, "its weights are quantized already, as nf4"),
    ],
)
def test_refusals_say_why_and_what_can(spelling, card, machine, reason):
    variant = Variant.parse(spelling)
    with pytest.raises(ModeNotPossible) as caught:
        resolve(variant, card, machine)
    assert caught.value.facts["reason"] == reason
    possible = caught.value.facts["possible"].split(", ")
    assert possible == ["auto", *(mode.name for mode in possible_modes(card, machine, [None] * len(variant.adapters)))]
    assert variant.quantization not in possible


@pytest.mark.parametrize(
    ("spelling", "card", "machine", "reason"),
    [
        ("m", GPTQ_ITSELF, Machine("cpu"), "it needs gptqmodel and optimum to be installed"),
        ("m", GPTQ_ITSELF, MPS, "it needs cpu or cuda, and this machine has mps"),
        ("m@gptq+pirate", GPTQ_ITSELF, CUDA, "it takes no LoRA adapters"),
    ],
)
def test_where_nothing_can_run(spelling, card, machine, reason):
    with pytest.raises(ModeNotPossible) as caught:
        resolve(Variant.parse(spelling), card, machine)
    assert caught.value.facts["reason"] == reason
    assert caught.value.facts["possible"] == "nothing on this machine"


def test_the_table():
    assert all(name == mode.name and Variant("m", name) for name, mode in MODES.items())
    offered = [why_not(mode, replace(WITH_FORMS, gguf=WITH_GGUF.gguf), CUDA, ()) for mode in MODES.values()]
    assert [reason for reason in offered if reason] == ["it needs cpu, and this machine has cuda"]


def test_an_adapter_of_a_head_that_is_the_embeddings_is_not_for_llama_cpp():
    head, plain = (LoraConfig(8, 16, (target,)) for target in ("lm_head", "q_proj"))
    untied = replace(WITH_GGUF, shape=replace(WITH_GGUF.sizes, tied_embeddings=False))
    for card, configs, mode in (
        (WITH_GGUF, [plain, head], "nf4"),
        (WITH_GGUF, [plain, None], "gguf"),
        (untied, [head], "gguf"),
    ):
        assert resolve(Variant.parse("m+one"), card, CPU, adapters=configs).name == mode
    assert "shares with its embeddings" in why_not(MODES["gguf"], WITH_GGUF, CPU, [head])


# --- several GGUF files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", CATALOG.values(), ids=lambda card: card.key)
def test_each_label_is_a_mode_that_can_be_spelled(card):
    extra = modes_of(card)[len(MODES) :]
    assert len(extra) != 1
    assert len({mode.name for mode in modes_of(card)}) == len(modes_of(card))
    for mode in extra:
        assert Variant.parse(f"m@{mode.name}").quantization == mode.name == f"gguf-{mode.label.lower()}"
        assert mode_named(mode.name, card) == mode
        assert mode.bits == GGUF_BITS[mode.label.upper()]
        assert (mode.form, mode.packing, mode.takes_adapters) == ("gguf", "gguf", True)


def test_one_file_has_no_mode_of_its_own():
    assert modes_of(replace(HUB_ONLY, gguf=GgufFile("o/n", "m.Q8_0.gguf"))) == tuple(MODES.values())
    assert modes_of(WHEEL_ONLY) == modes_of(WITHOUT) == tuple(MODES.values())
    assert mode_named("gguf-q8_0", WITHOUT) is None


@pytest.mark.parametrize("card", CATALOG.values(), ids=lambda card: card.key)
def test_card_for_a_label_names_one_file(card):
    for mode in modes_of(card)[len(MODES) :]:
        narrowed = card_for(mode, card)
        files = [form.file for form in (narrowed.gguf, narrowed.wheel) if form]
        assert files
        assert {gguf_label(file).lower() for file in files} == {mode.label.lower()}
        assert (narrowed.key, narrowed.hub_id, narrowed.shape) == (card.key, card.hub_id, card.shape)
        assert card_for(mode, narrowed) == narrowed


def test_card_for_the_label_of_the_wheel_leaves_the_hub_out():
    narrowed = card_for(named("gguf-q4_1"), WITH_GGUF)
    assert (narrowed.gguf, narrowed.wheel) == (None, WITH_GGUF.wheel)
    narrowed = card_for(named("gguf-q4_k_m"), WITH_GGUF)
    assert (narrowed.gguf, narrowed.wheel) == (WITH_GGUF.gguf, None)


@pytest.mark.parametrize("mode", ["fp32", "bf16", "nf4", "dynamic-int8", "gguf"])
def test_card_for_other_modes_is_the_card(mode):
    assert card_for(MODES[mode], WITH_FORMS) is WITH_FORMS


def test_card_for_a_quantized_form_is_its_repository():
    gated = replace(WITH_FORMS, gated=True, gguf=WITH_GGUF.gguf, wheel=WITH_GGUF.wheel)
    narrowed = card_for(MODES["gptq"], gated)
    assert (narrowed.hub_id, narrowed.revision, narrowed.checkpoint) == ("o/n-GPTQ", "a" * 40, "gptq")
    assert (narrowed.gated, narrowed.gguf, narrowed.wheel, narrowed.key) == (False, None, None, gated.key)
    assert (narrowed.made_from, narrowed.listed) == (gated.hub_id, gated.listed)
    assert card_for(MODES["gptq"], narrowed) == narrowed
    assert [mode.name for mode in possible_modes(narrowed, CUDA)] == ["gptq"]
    assert card_for(MODES["awq"], gated).hub_id == "o/n-AWQ"
    assert card_for(MODES["gptq"], GPTQ_ITSELF) is GPTQ_ITSELF
