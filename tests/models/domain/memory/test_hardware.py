"""The table of machines, and how fast a variant decodes there: compared with what others measured."""

import math

import pytest

from models.domain.catalog import load_catalog
from models.domain.errors import UnknownHardware
from models.domain.memory.hardware import find_hardware, load_hardware
from models.domain.memory.speed import decode_speed, token_bytes
from models.domain.quantization import MODES, mode_named

CATALOG = load_catalog()


@pytest.mark.parametrize("hardware", load_hardware().values(), ids=lambda hardware: hardware.key)
def test_each_machine_has_its_figures_and_their_source(hardware):
    assert hardware.source.startswith("https://")
    assert hardware.title
    assert 4e9 < hardware.budget.free < hardware.usable < 300 * 2**30
    assert 50e9 < hardware.bandwidth < 10e12
    assert find_hardware(f" {hardware.key.upper()} ") == hardware


@pytest.mark.parametrize("typed", ["24", "24 GB", "24gb", " 24.0 "])
def test_memory_may_be_typed(typed):
    found = find_hardware(typed)
    assert (found.usable, found.bandwidth, found.title) == (24_000_000_000, 0, "GPU with 24 GB")
    assert decode_speed(CATALOG["llama-3.1-8b-instruct"], MODES["bf16"], "cuda", found.bandwidth) is None


@pytest.mark.parametrize("typed", ["", "x", "0", "-1", "nan", "inf", "1e9", "RTX", "24 TB", "x" * 999])
def test_what_is_no_hardware_is_refused_with_what_is(typed):
    with pytest.raises(UnknownHardware, match=r"rtx-3060-12gb.*in GB") as refused:
        find_hardware(typed)
    assert len(str(refused.value)) < 700


@pytest.mark.parametrize(
    ("key", "mode", "hardware", "measured"),
    [
        # https://github.com/dmatora/LLM-inference-speed-benchmarks/issues/10: Llama 3 8B Q6_K on an RTX 4090
        ("llama-3.1-8b-instruct", "gguf-q6_k", "rtx-4090", 93),
        # https://github.com/ggml-org/llama.cpp/pull/2188: Llama 7B Q4_0 on an M1 Max of 400 GB/s, 17.1 ms a token
        ("llama-2-7b-chat", "gguf", "m1-max", 1000 / 17.1),
    ],
)
def test_the_estimate_holds_what_others_measured(key, mode, hardware, measured):
    card = CATALOG[key]
    bandwidth = 400e9 if hardware == "m1-max" else load_hardware()[hardware].bandwidth
    accelerator = "mps" if hardware == "m1-max" else "cuda"
    estimate = decode_speed(card, mode_named(mode, card) or MODES["gguf"], accelerator, bandwidth)
    assert estimate.low <= measured <= estimate.high


def test_a_token_reads_all_weights_but_the_embedding_table_it_looks_up():
    card = CATALOG["llama-2-7b-chat"]
    shape, kv = card.sizes, 2 * 32 * 32 * 128 * 1024 * 2
    assert token_bytes(card, MODES["bf16"]) == 2 * (shape.parameters - shape.embedding_parameters) + kv
    tied = CATALOG["smollm2-135m-instruct"]
    assert token_bytes(tied, MODES["bf16"], 1) == pytest.approx(2 * tied.sizes.parameters, rel=0.001)
    assert math.isclose(token_bytes(card, MODES["bf16"], 1) / token_bytes(card, MODES["nf4"], 1), 3.9, rel_tol=0.15)


def test_fewer_bits_and_more_bandwidth_are_faster():
    card = CATALOG["llama-3.1-8b-instruct"]
    speeds = [decode_speed(card, MODES[mode], "cuda", 1e12).high for mode in ("fp32", "bf16", "nf4", "gguf")]
    assert speeds == sorted(speeds)
    assert decode_speed(card, MODES["gguf"], "cuda", 2e12).low > decode_speed(card, MODES["gguf"], "cuda", 1e12).low
