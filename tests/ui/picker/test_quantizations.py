"""The table of quantizations: what must be free, what fits, what is of one size, what cannot run and why."""

import pytest

from models.domain.catalog import load_catalog
from models.domain.memory.hardware import find_hardware
from models.domain.memory.speed import Speed
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.runtime import Runtime
from tests.ui.markup import Markup
from ui.picker.quantizations import estimated, quantization_table, refused


@pytest.fixture(scope="module")
def runtime():
    return Runtime(Settings(hub_ids=False))


def table(runtime, hardware, picked="auto", model="llama-3.1-8b-instruct"):
    info = runtime.describe(load_catalog()[model], (), find_hardware(hardware))
    return info, quantization_table(info, picked, {})


def test_each_mode_is_a_button_and_the_picked_one_says_so(runtime):
    info, html = table(runtime, "rtx-3060-12gb", "bf16")
    presses = Markup(html).values("data-press")
    assert presses[0] == "auto"
    assert set(presses) == {"auto", *(mode for mode in info.modes if "/" not in mode)}
    assert Markup(html).values("aria-pressed").count("true") == 1


def test_types_of_kv_cache_stand_below_a_gguf_and_stay_with_it(runtime):
    info, html = table(runtime, "rtx-3060-12gb", "gguf-q8_0/kv8")
    presses = Markup(html).values("data-press")
    assert presses[-3:] == ["gguf-q8_0", "gguf-q8_0/kv8", "gguf-q8_0/kv4"]
    assert {"gguf/kv8", "gguf-q6_k/kv8", "bf16"} <= set(presses[:-3])
    assert "gguf" not in presses
    assert Markup(html).values("aria-pressed").count("true") == 2  # the file, and its cache
    assert info.plans["gguf-q8_0"].needed > info.plans["gguf-q8_0/kv8"].needed > info.plans["gguf-q8_0/kv4"].needed
    _, html = table(runtime, "rtx-3060-12gb", "nf4")
    assert "KV cache" not in Markup(html).text


def test_modes_of_one_size_are_folded_with_the_picked_one_in_front(runtime):
    _, html = table(runtime, "rtx-3060-12gb")
    assert "nf4the same size: fp4" in Markup(html).text
    _, html = table(runtime, "rtx-3060-12gb", "fp4")
    assert "fp4the same size: nf4" in Markup(html).text


def test_it_obeys_the_hardware(runtime):
    small, small_table = table(runtime, "rtx-3060-12gb")
    large, _ = table(runtime, "a100-80gb")
    assert (small.auto, large.auto) == ("nf4", "bf16")
    assert not small.plans["bf16"].fits
    assert large.plans["bf16"].fits
    assert large.plans["bf16"].speed.low > 2 * small.plans["bf16"].speed.low
    assert "does not fit" in Markup(small_table).values("title")
    assert "Not available here" in Markup(small_table).text


def test_what_must_be_free_is_the_same_in_the_table_and_in_the_plan(runtime):
    there = find_hardware("rtx-4090")
    for context in (512, 8192):
        info = runtime.describe(load_catalog()["llama-3.1-8b-instruct"], (), there, context)
        for mode, offer in info.plans.items():
            planned = runtime.plan(Variant("llama-3.1-8b-instruct", mode), context, hardware=there)
            assert (offer.needed, offer.fits) == (planned.needed, planned.fits)


def test_a_range_has_its_formula():
    assert estimated(None) == ""
    html = estimated(Speed(7.26, 9.4, 8_000_000_000, 360e9))
    assert "≈ 7.3–9.4" in html
    assert "360 GB/s" in html
    assert "8.0 GB read per token" in html
    assert "≈ 12–31" in estimated(Speed(12.4, 30.6, 1, 1e9))


def test_modes_that_cannot_run_are_grouped_by_reason():
    html = refused({"gptq": "no file", "awq": "no file", "fp16": "it needs cuda"})
    assert Markup(html).text == "Not available here: gptq, awq, fp16gptq, awq: no filefp16: it needs cuda"
    assert refused({}) == ""


def test_quality_stands_there_where_it_was_measured(runtime):
    info, html = table(runtime, "a100-80gb")
    assert "Quality" not in Markup(html).text
    html = quantization_table(info, "nf4", {}, {"nf4": 11.0, "bf16": 10.0, "gone": 1.0})
    rows = Markup(html).text
    assert "bf16" in rows
    assert "+10.0%" in rows
    assert "+0.0%" in rows
    assert any("compared with bf16" in title for title in Markup(html).values("title"))


def test_of_typed_gigabytes_no_speed_is_known(runtime):
    assert "tokens/s" in Markup(table(runtime, "rtx-4090")[1]).text
    assert "tokens/s" not in Markup(table(runtime, "24")[1]).text
