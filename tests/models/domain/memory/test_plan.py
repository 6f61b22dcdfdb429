"""Plans from the card alone: sums, examples by hand, and what has to hold for any model, mode and context."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.catalog import load_catalog
from models.domain.memory import plan as planning
from models.domain.memory.bytes import file_bytes, weight_bytes
from models.domain.memory.hardware import COMMON, table, which_fit
from models.domain.memory.plan import CUDA_BYTES, WEIGHTS, Budget, alternatives, plan, slots
from models.domain.quantization import MODES, Machine, mode_named, modes_of

CATALOG = load_catalog()
BOTH = frozenset({"bitsandbytes", "gptqmodel"})
CPU, OLD_CPU, GPU = Machine("cpu", BOTH), Machine("cpu", BOTH, native_bf16=False), Machine("cuda", BOTH)
LOTS = Budget("main memory", 10**12, 10**12)
GB = 10**9


def loadable(card, mode):
    """Whether files of the mode are known."""
    if mode.packing == "grouped":
        return any(form.method == mode.name for form in card.quantized)
    return mode.form != "gguf" or bool(card.gguf or card.wheel)


CASES = [(card, mode) for card in CATALOG.values() for mode in modes_of(card) if loadable(card, mode)]
cases = st.sampled_from(CASES)
machines = st.sampled_from([CPU, OLD_CPU, GPU])
contexts = st.integers(1, 32768)


def planned(card, mode, machine=CPU, budget=LOTS, context=4096, batch=1, files=0):
    return plan(f"{card.key}@{mode.name}", card, mode, machine, budget, context, batch, files)


def test_weights_of_every_card_in_every_mode():
    for card, mode in CASES:
        for machine in (CPU, OLD_CPU, GPU):
            parts = weight_bytes(card, mode, machine)
            made = planned(card, mode, machine)
            assert set(parts) <= set(WEIGHTS)
            assert all(part.bytes > 0 for part in made.parts), (card.key, mode.name)
            assert made.weights == sum(parts.values()) > 0.3 * card.parameters
            assert made.total == sum(part.bytes for part in made.parts) <= made.needed <= made.peak


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_plain_modes_are_parameters_times_bytes(name):
    for card in CATALOG.values():
        assert sum(weight_bytes(card, MODES[name]).values()) == card.parameters * MODES[name].rest_bytes


def test_more_bits_take_more():
    for card in CATALOG.values():
        order = ("fp32", "bf16", "int8", "nf4-single", "nf4")
        weights = [sum(weight_bytes(card, MODES[name]).values()) for name in order]
        assert weights == sorted(weights, reverse=True)


# Llama 2 7B, a layer: four of 4096 x 4096, two of 11008 x 4096, one of 4096 x 11008.
LAYER = 4 * 4096 * 4096 + 3 * 4096 * 11008  # 202,375,168 weights
LLAMA = CATALOG["llama-2-7b"]
EMBEDDINGS, NORMS = 32000 * 4096, (32 * 2 + 1) * 4096


def test_nf4_of_llama_2_7b_by_hand():
    parts = weight_bytes(LLAMA, MODES["nf4"])
    blocks = LAYER // 64  # 3,162,112: each has a scale of one byte, and 256 of those share one of four bytes
    tables = 7 * (16 * 4 + 4)  # a matrix has the 16 values of NF4 in fp32, and the mean of its scales
    assert parts["quantized"] == 32 * LAYER // 2 == 3_238_002_688
    assert parts["constants"] == 32 * (blocks + 4 * blocks // 256 + tables) == 102_783_872
    assert parts["embeddings"] == parts["head"] == 2 * EMBEDDINGS == 262_144_000
    assert parts["norms"] == 2 * NORMS == 532_480
    assert sum(parts.values()) == 3_865_607_040  # 3.9 GB for 6.7 billion parameters


def test_other_packings_of_llama_2_7b_by_hand():
    blocks = 32 * LAYER // 64
    rows = 32 * (4 * 4096 + 2 * 11008 + 4096)
    assert weight_bytes(LLAMA, MODES["int8"])["constants"] == 4 * rows
    assert weight_bytes(LLAMA, MODES["nf4-single"])["constants"] == 4 * blocks + 32 * 7 * 64
    assert weight_bytes(LLAMA, MODES["nf4"], CPU) == weight_bytes(LLAMA, MODES["nf4-single"], CPU), "repacked"
    assert weight_bytes(LLAMA, MODES["nf4"], CPU)["constants"] == 2 * blocks + 32 * 7 * 68
    assert weight_bytes(LLAMA, MODES["nf4"], OLD_CPU) == weight_bytes(LLAMA, MODES["nf4"], GPU)
    dynamic = weight_bytes(LLAMA, MODES["dynamic-int8"])
    assert dynamic["quantized"] == 32 * (LAYER + 4096 * 256)  # 11008 inputs become 22 x 512
    assert dynamic["embeddings"] == 4 * EMBEDDINGS
    assert dynamic["head"] == EMBEDDINGS + 12 * 32000


def test_the_quantized_repositories_own_group_counts():
    chat = CATALOG["llama-2-70b-chat"]
    gptq = next(form for form in chat.quantized if form.method == "gptq")
    fine = replace(chat, quantized=(replace(gptq, group=32),))
    coarse = replace(chat, quantized=(replace(gptq, group=-1),))
    assert weight_bytes(fine, MODES["gptq"])["constants"] > 20 * weight_bytes(coarse, MODES["gptq"])["constants"]
    eight = replace(chat, quantized=(replace(gptq, bits=8),))
    assert weight_bytes(eight, MODES["gptq"])["quantized"] == 2 * weight_bytes(chat, MODES["gptq"])["quantized"]


def test_a_gguf_takes_its_files_size_or_parameters_by_bits():
    chat, gemma = CATALOG["llama-2-7b-chat"], CATALOG["gemma-3-270m"]
    assert file_bytes(chat, MODES["gguf"]) == 4_081_004_224
    assert file_bytes(LLAMA, MODES["gguf"]) == pytest.approx(4_081_004_224, rel=0.02)
    assert file_bytes(gemma, MODES["gguf"]) == 253_113_024
    on_the_hub = replace(gemma, wheel=None)
    assert file_bytes(on_the_hub, MODES["gguf"]) == round(gemma.parameters * 8.5 / 8), "its file there is Q8_0"


def test_what_llama_cpp_repacks_is_counted_by_matrix():
    # bytes of the Q4_K tensors in the layers whose rows hold whole blocks, by the tables of the very files
    for key, stored in (("qwen2.5-coder-1.5b-instruct", 625_508_352), ("gemma-3-270m", 13_271_040)):
        assert planning.repacked_bytes(CATALOG[key], MODES["gguf"]) == stored
    assert planning.repacked_bytes(CATALOG["smollm2-135m-instruct"], MODES["gguf"]) == 0, "Q4_1 is used as it is stored"


def test_kv_cache():
    assert planning.kv_bytes(LLAMA.shape, MODES["bf16"], 4096) == 2 * 32 * 32 * 128 * 4096 * 2 == 2 * 2**30
    assert planning.kv_bytes(LLAMA.shape, MODES["fp32"], 4096) == 4 * 2**30
    assert planning.kv_bytes(LLAMA.shape, MODES["bf16"], 4096, batch=3) == 6 * 2**30


def test_sliding_windows():
    gemma, token = CATALOG["gemma-3-270m"].shape, 2 * 1 * 256 * 2  # keys and values, one head of 256, two bytes
    assert planning.kv_bytes(gemma, MODES["bf16"], 400) == 18 * 400 * token
    assert planning.kv_bytes(gemma, MODES["bf16"], 4096) == (3 * 4096 + 15 * 512) * token
    # llama.cpp's own log at 2048: 6.00 MiB and 11.25 MiB a sequence, for 2048 and 768 cells
    assert planning.kv_bytes(gemma, MODES["gguf"], 2048) == (6 + 11.25) * 2**20
    zephyr = CATALOG["zephyr-7b-beta"].shape
    assert planning.kv_bytes(zephyr, MODES["bf16"], 32768) == planning.kv_bytes(zephyr, MODES["bf16"], 4096)


def test_a_quantized_kv_cache_is_34_or_18_bytes_a_block_of_32_values():
    card = CATALOG["smollm2-135m-instruct"]  # 2 x 3 x 64 values a token and layer
    plain, eight, four = (planned(card, mode_named(f"gguf{kv}", card), context=8192) for kv in ("", "/kv8", "/kv4"))
    values = 30 * 2 * 3 * 64 * 8192
    assert [part.bytes for made in (plain, eight, four) for part in made.parts if part.key == "kv"] == [
        values * 2, values // 32 * 34, values // 32 * 18,
    ]  # fmt: skip
    assert plain.total - eight.total == values // 32 * 30
    assert plain.weights == eight.weights


def test_a_mode_that_fits_with_a_quantized_kv_cache_only_is_offered_with_it():
    card = replace(CATALOG["smollm2-135m-instruct"], gguf=None)
    eight = planned(card, mode_named("gguf/kv8", card), context=8192).needed
    budget = Budget("here", eight, eight)
    found = alternatives([card], card, Machine("cpu"), lambda one, mode: planned(one, mode, CPU, budget, 8192))
    assert [made.variant for made in found] == ["smollm2-135m-instruct@gguf/kv8"]


@given(cases, machines, contexts, contexts, st.integers(1, 8))
def test_more_context_and_more_sequences_never_take_less(case, machine, one, other, batch):
    short, long = (planned(*case, machine, context=context, batch=batch) for context in sorted((one, other)))
    assert short.total <= long.total
    assert short.peak <= long.peak
    more = planned(*case, machine, context=one, batch=batch + 1)
    assert more.total > planned(*case, machine, context=one, batch=batch).total
    assert short.weights == long.weights == more.weights


@given(cases, machines, contexts, st.integers(0, 4 * 10**11))
def test_it_fits_when_what_cannot_be_given_back_is_free(case, machine, context, free):
    made = planned(*case, machine, Budget("here", 10**12, free), context)
    assert made.fits == (made.needed <= free)
    assert made.total <= made.needed <= made.peak
    assert 0 <= made.mapped <= made.loading


@given(cases, machines, contexts)
def test_plans_are_plain_data(case, machine, context):
    made = planned(*case, machine, context=context)
    data = json.loads(json.dumps(made.to_dict()))
    assert sum(data["bytes"].values()) == data["total"] == made.total
    assert data["limit"] == data["device"]["free"] == LOTS.free
    assert (data["peak"], data["needed"], data["fits"]) == (made.peak, made.needed, made.fits)


def test_files_of_another_type_stay_mapped_beside_the_copies():
    card, bf16 = CATALOG["llama-3.2-1b"], MODES["bf16"]
    same, wider = (planned(card, bf16, files=width * card.parameters) for width in (2, 4))
    assert (same.mapped, wider.mapped) == (0, 4 * card.parameters)
    assert wider.loading - same.loading == 4 * card.parameters
    assert wider.needed == same.needed
    assert planned(card, bf16, GPU, files=4 * card.parameters).mapped == 0
    dynamic = planned(card, MODES["dynamic-int8"], files=2 * card.parameters)
    assert dynamic.needed > 4 * card.parameters, "all of it is fp32 before it is packed"


def test_only_some_matrices_of_a_gguf_are_copied():
    gemma, llama = CATALOG["gemma-3-270m"], CATALOG["llama-2-7b-chat"]
    assert planning.repacked_bytes(gemma, MODES["gguf"]) == pytest.approx(12.66 * 2**20, rel=0.02)  # by its own log
    assert planning.repacked_bytes(CATALOG["smollm2-135m-instruct"], MODES["gguf"]) == 0
    assert 0.5 < planning.repacked_bytes(llama, MODES["gguf"]) / file_bytes(llama, MODES["gguf"]) < 0.8


def test_kept_conversations_are_bounded():
    small, large = (planned(LLAMA, MODES["bf16"], context=context).kept for context in (10, 4096))
    assert small == 8 * 10 * 2**19
    assert large == 512 * 2**20
    assert planned(LLAMA, MODES["bf16"], GPU).kept == 2 * 2**30


def test_slots():
    smollm2 = CATALOG["smollm2-135m-instruct"]  # 2 x 30 x 3 x 64 x 2 = 23,040 bytes of KV cache a token
    assert slots(smollm2, 8192, 4) == 2
    assert slots(smollm2, 4096, 4) == 4
    assert slots(LLAMA, 4096, 4) == 1
    assert slots(smollm2, 1, 1) == 1


@given(st.sampled_from(list(CATALOG.values())), contexts, st.integers(1, 16))
def test_slots_stay_within_the_budget_but_for_the_first(card, context, wanted):
    count = slots(card, context, wanted)
    assert 1 <= count <= wanted
    assert count == 1 or planning.kv_bytes(card.shape, MODES["gguf"], context, count) <= planning.KV_BUDGET


def test_alternatives_fit_and_begin_with_the_same_model():
    wanted = CATALOG["llama-2-70b-chat"]

    def nearest(free, machine=GPU):
        budget = Budget("GPU", free, free)
        return alternatives(
            CATALOG.values(), wanted, machine, lambda card, mode: planned(card, mode, machine, budget, 4096)
        )

    found = nearest(80 * GB)
    assert [made.variant.split("@")[0] for made in found] == [wanted.key, wanted.key, "llama-2-13b-chat"]
    assert all(made.fits for made in found)
    assert found[0].weights > found[1].weights
    assert [made.variant.split("@")[0] for made in nearest(12 * GB)] == ["llama-2-13b-chat", "llama-2-7b-chat"]
    assert nearest(10**6) == []


CHATS = [CATALOG[f"llama-2-{size}-chat"] for size in ("7b", "13b", "70b")]
TABLE = {
    (fit.model.split("-")[2], fit.mode, fit.gpu.partition(" GB")[0]): fit
    for fit in which_fit(CHATS, ("bf16", "int8", "nf4", "gptq", "awq", "gguf"))
}


@pytest.mark.parametrize(
    ("model", "mode", "gpu", "gpus"),
    [
        # https://kubernetes.recipes/recipes/ai/llama-70b-model-size-gpu-requirements/: FP16 is 140 GB: 2 x A100 80 GB,
        # or one H200; 8 bit is one A100 80 GB; INT4 one A100 40 GB or a GPU with 48 GB
        ("70b", "bf16", "A100 80", 2),
        ("70b", "bf16", "H200 141", 1),
        ("70b", "int8", "A100 80", 1),
        ("70b", "gptq", "A100 40", 1),
        ("70b", "nf4", "ZeroGPU, half an RTX Pro 6000", 1),
        # https://kaitchup.substack.com/p/run-llama-2-70b-on-your-gpu-with: 4 bit does not fit 24 GB, two of them do
        ("70b", "nf4", "L4 24", 2),
        # https://llmrun.dev/model/meta-llama-llama-2-13b-chat-hf: 26 GB of weights, 28.6 GB with some context
        ("13b", "bf16", "A10G 24", 2),
        ("13b", "bf16", "A100 40", 1),
        ("13b", "nf4", "T4 16", 1),
        # 13.5 GB of weights leave a T4 too little for the 2.1 GB of a full context
        ("7b", "bf16", "T4 16", 2),
        ("7b", "bf16", "L4 24", 1),
        ("7b", "int8", "T4 16", 1),
        ("7b", "gguf", "T4 16", 1),
    ],
)
def test_which_model_fits_which_gpu(model, mode, gpu, gpus):
    fit = TABLE[model, mode, gpu]
    assert (fit.gpus, fit.fits) == (gpus, gpus == 1)


def test_the_table():
    assert len(TABLE) == 3 * 6 * len(COMMON)
    text = table(TABLE.values())
    assert len(text.splitlines()) == 2 + 3 * 6
    assert "| llama-2-70b-chat | bf16 | 140" in text
    assert table([]).startswith("| model")
    assert [fit.mode for fit in which_fit([LLAMA], ("gptq", "gguf", "gguf-q8_0"), ["l4"])] == [
        "gguf",
        "gguf-q8_0",
    ]
    seven = next(fit for key, fit in TABLE.items() if key[:2] == ("7b", "bf16"))
    assert math.isclose(seven.bytes, 2 * LLAMA.parameters + 2 * 2**30 + CUDA_BYTES, rel_tol=0.02)
