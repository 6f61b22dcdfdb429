"""What `auto` means on a machine, and why a mode cannot run."""

from dataclasses import replace

import pytest

from models.spec.catalog import load_catalog
from models.spec.errors import ModeNotPossible
from models.spec.quantization import MODES, possible_modes, resolve, why_not
from models.spec.variant import Variant

WITH_GGUF = load_catalog()["smollm2-135m-instruct"]
WHEEL_ONLY = replace(WITH_GGUF, gguf=None)
HUB_ONLY = replace(WITH_GGUF, wheel=None)
WITHOUT = replace(WITH_GGUF, gguf=None, wheel=None)


@pytest.mark.parametrize(
    ("spelling", "card", "accelerator", "mode"),
    [
        ("m", WITH_GGUF, "cpu", "gguf"),
        ("m", WHEEL_ONLY, "cpu", "gguf"),
        ("m", HUB_ONLY, "cpu", "gguf"),
        ("m", WITHOUT, "cpu", "nf4"),
        ("m+pirate", WITH_GGUF, "cpu", "nf4"),
        ("m", WITH_GGUF, "cuda", "bf16"),
        ("m+pirate", WITHOUT, "cuda", "bf16"),
        ("m", WITH_GGUF, "mps", "fp16"),
        ("m@gguf", WITH_GGUF, "cuda", "gguf"),
        ("m@int8+pirate", WITH_GGUF, "cpu", "int8"),
    ],
)
def test_resolve(spelling, card, accelerator, mode):
    assert resolve(Variant.parse(spelling), card, accelerator).name == mode


@pytest.mark.parametrize("accelerator", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("card", [WITH_GGUF, WITHOUT])
@pytest.mark.parametrize("adapters", ["", "+pirate"])
def test_auto_is_always_possible_and_so_is_all_that_is_offered(accelerator, card, adapters):
    offered = possible_modes(card, accelerator, bool(adapters))
    assert resolve(Variant.parse(f"m{adapters}"), card, accelerator) in offered
    for mode in offered:
        assert resolve(Variant.parse(f"m@{mode.name}{adapters}"), card, accelerator) is mode


@pytest.mark.parametrize(
    ("spelling", "card", "accelerator", "reason"),
    [
        ("m@fp16", WITH_GGUF, "cpu", "it needs cuda or mps, and this machine has cpu"),
        ("m@nf4", WITH_GGUF, "mps", "it needs cpu or cuda, and this machine has mps"),
        ("m@gguf", WITHOUT, "cpu", "no GGUF file of it is known"),
        ("m@gguf+pirate", WITH_GGUF, "cpu", "it takes no LoRA adapters"),
        ("m@int3", WITH_GGUF, "cpu", f"there is no such mode; there are {', '.join(MODES)}"),
    ],
)
def test_refusals_say_why_and_what_can(spelling, card, accelerator, reason):
    variant = Variant.parse(spelling)
    with pytest.raises(ModeNotPossible) as caught:
        resolve(variant, card, accelerator)
    assert caught.value.facts["reason"] == reason
    possible = caught.value.facts["possible"].split(", ")
    assert possible == ["auto", *(mode.name for mode in possible_modes(card, accelerator, bool(variant.adapters)))]
    assert variant.quantization not in possible


def test_the_table():
    assert all(name == mode.name and Variant("m", name) for name, mode in MODES.items())
    assert all(mode.takes_adapters == (mode.form == "safetensors") for mode in MODES.values())
    assert [why_not(mode, WITH_GGUF, "cuda", False) for mode in MODES.values()] == [""] * len(MODES)
