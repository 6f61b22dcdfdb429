"""Which mode loads which checkpoint, without loading any."""

import json
from importlib.util import find_spec

import pytest

from models.domain.errors import CorruptWeights, EngineFailed, ModeNotPossible
from models.domain.quantization import MODES
from models.engines.transformers.recipes import RECIPES, recipe_for

GROUPED = {"bits": 4, "group_size": 64}
STORED = {
    "": None,
    "int8": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    "nf4-single": {"load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4"},
    "fp4-single": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "gptq": GROUPED | {"quant_method": "gptq"},
    "awq": GROUPED | {"quant_method": "awq"},
}


@pytest.fixture
def folder(tmp_path):
    """A function that writes a config.json with a quantization_config, and gives its folder."""

    def write(stated):
        config = {"model_type": "llama"} | ({"quantization_config": stated} if stated else {})
        (tmp_path / "config.json").write_text(json.dumps(config))
        return str(tmp_path)

    return write


def test_every_mode_of_safetensors_has_a_recipe_with_its_dtype():
    wanted = {mode.name: mode.rest_bytes for mode in MODES.values() if mode.form == "safetensors"}
    assert {name: {"float32": 4}.get(recipe.dtype, 2) for name, recipe in RECIPES.items()} == wanted


@pytest.mark.parametrize("mode", sorted(set(RECIPES) - {"gptq", "awq"}))
def test_plain_weights_load_in_the_modes_that_quantize_themselves(folder, mode):
    assert recipe_for(folder(None), mode) == (RECIPES[mode], None)


@pytest.mark.parametrize("mode", ["int8", "nf4", "nf4-single", "fp4-single"])
def test_weights_of_bitsandbytes_load_in_their_own_mode(folder, mode):
    recipe, stored = recipe_for(folder(STORED[mode]), mode)
    assert (recipe, stored.mode) == (RECIPES[mode], mode)


@pytest.mark.parametrize(
    ("stored", "mode", "reason"),
    [
        ("nf4", "fp32", "its weights are quantized already, as nf4"),
        ("nf4", "nf4-single", "its weights are quantized already, as nf4"),
        ("gptq", "nf4", "its weights are quantized already, as gptq"),
        ("gptq", "awq", "its weights are quantized already, as gptq"),
        ("", "gptq", "its weights are not quantized"),
        ("", "awq", "its weights are not quantized"),
    ],
)
def test_a_mode_that_contradicts_the_weights_is_refused(folder, stored, mode, reason):
    with pytest.raises(ModeNotPossible) as caught:
        recipe_for(folder(STORED[stored]), mode)
    assert reason in caught.value.message


@pytest.mark.skipif(find_spec("gptqmodel") is not None, reason="gptqmodel is installed")
@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_without_the_package_the_error_names_it(folder, mode):
    with pytest.raises(EngineFailed, match="needs the package gptqmodel, which is not installed"):
        recipe_for(folder(STORED[mode]), mode)


def test_an_unknown_mode_and_an_unreadable_config(folder, tmp_path):
    with pytest.raises(EngineFailed, match="no mode called int3"):
        recipe_for(folder(None), "int3")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CorruptWeights, match=r"config\.json"):
        recipe_for(str(tmp_path), "fp32")
