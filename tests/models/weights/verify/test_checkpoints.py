"""Repositories that are quantized already: which are taken, as which mode, and every way in which they are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from fake_hub import FakeHub, Repo, git_commit
from tiny_models import AWQ, GPTQ, HUB_ID, INT8, NF4
from visitors import Seen

from models.domain.catalog import ModelCard, Quantized
from models.domain.errors import HubUnreachable, UnsafeWeights
from models.domain.quantization import MODES, card_for
from models.domain.settings import Settings
from models.weights.sources import hub_card, locate, resolve
from models.weights.verify import checks
from models.weights.verify.checkpoints import Checkpoint, read_checkpoint

QUANTIZED = "tiny-org/tiny-GPTQ"
# As published: the fields of repositories of Qwen, TheBloke and hugging-quants, and of what bitsandbytes saves.
QWEN_GPTQ = GPTQ | {
    "batch_size": 1, "block_name_to_quantize": None, "cache_block_outputs": True, "damp_percent": 0.01,
    "dataset": None, "exllama_config": {"version": 1}, "max_input_length": None, "model_seqlen": None,
    "module_name_preceding_first_block": None, "modules_in_block_to_quantize": None, "pad_token_id": None,
    "tokenizer": None, "true_sequential": True, "use_cuda_fp16": False, "use_exllama": True,
}  # fmt: skip
META_GPTQ = GPTQ | {"checkpoint_format": "gptq", "meta": {"quantizer": ["gptqmodel:5.0"], "uri": "x", "mse": 0.0}}
HUGGING_QUANTS_AWQ = AWQ | {
    "backend": "autoawq", "do_fuse": False, "exllama_config": None, "fuse_max_seq_len": None,
    "modules_to_fuse": None, "modules_to_not_convert": None,
}  # fmt: skip
MXFP4, FP8 = Checkpoint("bf16", dequantized="mxfp4"), Checkpoint("bf16", dequantized="fp8")
SAVED_NF4 = NF4 | {
    "_load_in_4bit": True, "_load_in_8bit": False, "bnb_4bit_compute_dtype": "bfloat16",
    "bnb_4bit_quant_storage": "uint8", "bnb_4bit_use_double_quant": True, "llm_int8_enable_fp32_cpu_offload": False,
    "llm_int8_has_fp16_weight": False, "llm_int8_skip_modules": ["lm_head"], "llm_int8_threshold": 6.0,
    "load_in_8bit": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        (GPTQ, Checkpoint("gptq", 4, 128)),
        (QWEN_GPTQ, Checkpoint("gptq", 4, 128)),
        (META_GPTQ | {"bits": 8, "group_size": -1}, Checkpoint("gptq", 8, -1)),
        (HUGGING_QUANTS_AWQ, Checkpoint("awq", 4, 64)),
        (SAVED_NF4, Checkpoint("nf4")),
        (NF4, Checkpoint("nf4-single")),
        (NF4 | {"bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": True}, Checkpoint("fp4")),
        ({"load_in_4bit": True}, Checkpoint("fp4-single")),
        (INT8, Checkpoint("int8", 8)),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}, MXFP4),
        ({"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"}, FP8),
        (None, None),
    ],
)
def test_mode_that_a_config_stands_for(stated: object, wanted: Checkpoint | None) -> None:
    assert read_checkpoint({"quantization_config": stated}, "m") == wanted
    assert wanted is None or wanted.mode in MODES


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ("gptq", "is not a table"),
        ([GPTQ], "is not a table"),
        ({}, "by a method that its config.json does not name"),
        ({"quant_method": "fp8", "weight_block_size": [1, 128]}, "weight_block_size = "),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["(a+)+$"]}, "modules_to_not_convert = "),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["a*a*a*a*a"]}, "modules_to_not_convert = "),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, "quantized by compressed-tensors, which"),
        ({"quant_method": ["gptq"]}, r"quantized by \['gptq'\], which"),
        ({"quant_method": "gptq", "bits": 4}, "lacks group_size"),
        ({"quant_method": "awq", "group_size": 128}, "lacks bits"),
        (GPTQ | {"bits": 4.0}, "bits = 4.0"),
        (GPTQ | {"bits": True}, "bits = True"),
        (GPTQ | {"bits": 10**30}, "bits = 1000"),
        (AWQ | {"bits": 8}, "bits = 8"),
        (GPTQ | {"group_size": 0}, "group_size = 0"),
        (GPTQ | {"damp_percent": float("nan")}, "damp_percent = nan"),
        (GPTQ | {"sym": "yes"}, "sym = yes"),
        (GPTQ | {"checkpoint_format": "marlin"}, "checkpoint_format = marlin"),
        (GPTQ | {"backend": "bitblas"}, "backend = bitblas"),
        (GPTQ | {"tokenizer": "somebody/else"}, "tokenizer = somebody/else"),
        (GPTQ | {"adapter": {"lora": "somebody/else"}}, "adapter = "),
        (GPTQ | {"dynamic": {"-:(a+)+$": {}}}, "dynamic = "),
        (GPTQ | {"lm_head": True}, "lm_head = True"),
        (GPTQ | {"unheard_of": {"a": {"b": {"c": {"d": 1}}}}}, "unheard_of = "),
        (GPTQ | {"unheard_of": float("inf")}, "unheard_of = inf"),
        (GPTQ | {"unheard_of": "x" * 301}, "unheard_of = xxx"),
        (GPTQ | {"load_in_4bit": True}, "names both gptq and bitsandbytes"),
        (AWQ | {"version": "../x"}, "version = "),
        (AWQ | {"modules_to_not_convert": ["(a+)+$"]}, "modules_to_not_convert = "),
        (NF4 | {"load_in_8bit": True}, "neither 4 nor 8 bits, or both"),
        ({"quant_method": "bitsandbytes"}, "neither 4 nor 8 bits, or both"),
        (NF4 | {"bnb_4bit_quant_type": "nf3"}, "bnb_4bit_quant_type = nf3"),
        (NF4 | {"bnb_4bit_compute_dtype": "load"}, "bnb_4bit_compute_dtype = load"),
        (NF4 | {"bnb_4bit_use_double_quant": 1}, "bnb_4bit_use_double_quant = 1"),
        (NF4 | {"llm_int8_skip_modules": ["(a+)+$"]}, "llm_int8_skip_modules = "),
        (INT8 | {"llm_int8_threshold": float("nan")}, "llm_int8_threshold = nan"),
        (INT8 | {"llm_int8_has_fp16_weight": True}, "llm_int8_has_fp16_weight = True"),
    ],
)
def test_config_that_is_refused(tmp_path: Path, stated: object, reason: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tiny_models.config(quantization_config=stated)))
    with pytest.raises(UnsafeWeights, match=reason) as caught:
        checks.read_config(tmp_path, "tiny")
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantization_config": GPTQ | {"kernel": "somebody/kernel"}}, "asks for a kernel"),
        ({"quantization_config": GPTQ | {"meta": {"use_kernels": True}}}, "asks for a kernel"),
        ({"quantization_config": GPTQ | {"auto_map": {"x": "y.z"}}}, "refers to code of its own"),
        ({"text_config": {"quantization_config": GPTQ}}, "says twice"),
        ({"quantization_config": GPTQ, "compression_config": AWQ}, "says twice"),
    ],
)
def test_what_lies_beside_it_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tiny_models.config(**changes)))
    with pytest.raises(UnsafeWeights, match=reason):
        checks.read_config(tmp_path, "tiny")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(("stated", "mode"), [(GPTQ, "gptq"), (AWQ, "awq"), (NF4, "nf4-single"), (INT8, "int8")])
def test_folder_is_checked_for_its_mode(tmp_path: Path, stated: dict[str, Any], mode: str) -> None:
    folder = write(tmp_path, tiny_models.quantized_files(stated))
    names = {path.name for path in checks.check_folder(folder, "tiny", checkpoint=mode)}
    assert names == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
    with pytest.raises(UnsafeWeights, match=f"quantized already, as {mode}, and plain ones were asked for"):
        checks.check_folder(folder, "tiny")
    with pytest.raises(UnsafeWeights, match=f"quantized already, as {mode}, and fp4 ones were asked for"):
        checks.check_folder(folder, "tiny", checkpoint="fp4")


def test_tensors_have_to_be_those_of_the_method(tmp_path: Path) -> None:
    folder = write(tmp_path, tiny_models.quantized_files(GPTQ))
    write(folder, {"config.json": json.dumps(tiny_models.config()).encode()})
    with pytest.raises(UnsafeWeights, match=r"quantized \(\.qweight\), and its config\.json says nothing of it"):
        checks.check_folder(folder, "tiny")
    write(folder, {"config.json": json.dumps(tiny_models.config(quantization_config=INT8)).encode()})
    with pytest.raises(UnsafeWeights, match=r"quantized \(\.qweight\), and its config\.json says they are int8"):
        checks.check_folder(folder, "tiny", checkpoint="int8")
    write(folder, tiny_models.model_files(quantization_config=GPTQ))
    with pytest.raises(UnsafeWeights, match=r"weights are plain, and its config\.json says they are gptq"):
        checks.check_folder(folder, "tiny", checkpoint="gptq")


# --- through the Hub ------------------------------------------------------------------------------------------------


def listed_card() -> ModelCard:
    return tiny_models.card(quantized=(Quantized("gptq", QUANTIZED),))


def get(card: ModelCard, settings: Settings) -> Any:
    seen = Seen()
    return resolve(card, "safetensors", settings, seen, seen.cancelled)


def test_card_of_a_quantized_repository(hub: FakeHub, settings: Settings) -> None:
    hub.repos[QUANTIZED] = Repo(tiny_models.quantized_files(GPTQ | {"bits": 8, "group_size": 32}))
    card = hub_card(QUANTIZED, settings)
    assert (card.checkpoint, card.counted_parameters, card.shape) == ("gptq", None, tiny_models.SHAPE)
    assert card.quantized == (Quantized("gptq", QUANTIZED, git_commit("first"), 8, 32),)
    assert hub.downloads("model.safetensors") == []
    assert card_for(MODES["gptq"], card) == card
    snapshot = get(card, settings)
    assert not snapshot.trusted
    fetched = {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
    assert {path.name for path in Path(snapshot.path).iterdir()} == fetched
    assert get(card, settings).origin == "hub cache"
    assert hub_card(QUANTIZED, settings) == card
    hub.repos[HUB_ID] = Repo(tiny_models.quantized_files(NF4))
    card = hub_card(HUB_ID, settings)
    assert (card.checkpoint, card.quantized) == ("nf4-single", ())


def test_pickled_quantized_weights_are_refused(hub: FakeHub, settings: Settings) -> None:
    files = tiny_models.quantized_files(GPTQ)
    del files["model.safetensors"]
    hub.repos[QUANTIZED] = Repo(files)
    with pytest.raises(UnsafeWeights, match="pickled"):
        hub_card(QUANTIZED, settings)


@pytest.mark.parametrize(
    ("files", "mode", "reason"),
    [
        (tiny_models.model_files(), "gptq", "its weights are plain, and gptq ones were asked for"),
        (tiny_models.quantized_files(AWQ), "gptq", "quantized already, as awq, and gptq ones were asked for"),
        (tiny_models.quantized_files(GPTQ), "bf16", "quantized already, as gptq, and plain ones were asked for"),
    ],
)
def test_repository_of_another_mode_is_refused_before_its_weights_come(
    hub: FakeHub, settings: Settings, files: dict[str, bytes], mode: str, reason: str
) -> None:
    card = card_for(MODES[mode], listed_card())
    hub.repos[card.hub_id] = Repo(files)
    with pytest.raises(UnsafeWeights, match=reason):
        get(card, settings)
    assert hub.downloads("model.safetensors") == []


def test_what_was_checked_for_one_mode_is_not_good_for_another(hub: FakeHub, settings: Settings) -> None:
    hub.repos[QUANTIZED] = Repo(tiny_models.quantized_files(GPTQ))
    card = hub_card(QUANTIZED, settings)
    get(card, settings)
    assert locate(card, "safetensors", settings) is not None
    assert locate(replace(card, checkpoint=""), "safetensors", settings) is None
    with pytest.raises(UnsafeWeights, match="plain ones were asked for"):
        get(replace(card, checkpoint=""), settings)


def test_operators_folder_is_used_for_the_mode_that_it_holds(settings: Settings, tmp_path: Path) -> None:
    own = replace(settings, models_dir=str(tmp_path / "models"))
    plain, narrowed = listed_card(), card_for(MODES["gptq"], listed_card())
    write(tmp_path / "models" / "tiny", tiny_models.model_files())
    assert get(plain, own).origin == "folder"
    with pytest.raises(HubUnreachable):
        get(narrowed, own)
    folder = write(tmp_path / "models" / QUANTIZED, tiny_models.quantized_files(GPTQ))
    assert get(narrowed, own).path == str(folder)
    write(tmp_path / "models" / "tiny", tiny_models.quantized_files(GPTQ))
    assert get(narrowed, own).path == str(tmp_path / "models" / "tiny")
    assert locate(plain, "safetensors", own) is None


def test_no_gguf_stands_in_for_a_checkpoint(settings: Settings, tmp_path: Path) -> None:
    own = replace(settings, models_dir=str(tmp_path / "models"))
    write(tmp_path / "models" / "tiny", {"x.gguf": tiny_models.gguf_bytes(tmp_path)})
    assert get(listed_card(), own).form == "gguf"
    narrowed = card_for(MODES["gptq"], listed_card())
    assert locate(narrowed, "safetensors", own) is None
    with pytest.raises(HubUnreachable):
        get(narrowed, own)
