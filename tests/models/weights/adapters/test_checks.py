"""What is looked at before an adapter is loaded: every refusal with its sentence, and how long it takes."""

from __future__ import annotations

import json
import os
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import tiny_adapters
import tiny_models
from safetensors.numpy import save
from tiny_adapters import CONFIG, WEIGHTS, Arrays, arrays, key

from models.domain.catalog import load_catalog
from models.domain.errors import AdapterRefused, CorruptWeights
from models.domain.lora import read_lora
from models.domain.quantization import MODES, card_for
from models.domain.shapes.read import read_shape
from models.weights.adapters import checks as adapter_checks
from models.weights.adapters.bases import Base, base_of, linear_of
from models.weights.adapters.checks import Checked
from models.weights.verify import safetensors_header
from models.weights.verify.safetensors_header import first_infinite, read_tensors

BASE = base_of(tiny_models.card())
OTHER = tiny_models.shape_with(hidden_size=96, num_attention_heads=6)
MB = 1_000_000


def check(folder: Path, base: Base = BASE, largest: int = 256 * MB, inside: Path | None = None) -> Checked:
    with adapter_checks.refusals("somebody/x"):
        return adapter_checks.check_folder(folder, "somebody/x", base, largest, inside)


def spoiled(change: str) -> dict[str, bytes]:
    """An adapter with one thing wrong."""
    files, tensors = tiny_adapters.files(), arrays()
    a, b = key("q_proj", "A"), key("q_proj", "B")
    extra: Arrays = {}
    config: dict[str, Any] = {}
    match change:
        case "cut":
            return files | {WEIGHTS: files[WEIGHTS][:-100]}
        case "cut in the header":
            return files | {WEIGHTS: files[WEIGHTS][:50]}
        case "longer":
            return files | {WEIGHTS: files[WEIGHTS] + b"x"}
        case "no safetensors":
            return files | {WEIGHTS: b"PK\x03\x04 a pickle in disguise"}
        case "name twice in the header":
            text = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"I32","shape":[1],'
            text += b'"data_offsets":[0,4]}}'
            return files | {WEIGHTS: struct.pack("<Q", len(text)) + text + bytes(4)}
        case "long header":
            text = json.dumps({"__metadata__": {"x": "y" * 5 * MB}}).encode()
            return files | {WEIGHTS: struct.pack("<Q", len(text)) + text}
        case "absurd dimensions":
            entry = {"dtype": "F32", "shape": [2**62] * 100_000, "data_offsets": [0, 4]}
            return files | {WEIGHTS: tiny_adapters.raw({a: entry}, bytes(4))}
        case "control characters in a damaged header":
            return files | {WEIGHTS: tiny_adapters.raw({"a\ud800\n\u202eb": {"dtype": "?"}})}
        case "no pair":
            del tensors[b]
        case "no tensors":
            return files | {WEIGHTS: tiny_adapters.raw({})}
        case "many tensors":
            entries = {f"a{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(20_001)}
            return files | {WEIGHTS: tiny_adapters.raw(entries)}
        case "twice":
            extra[a.replace(".weight", ".default.weight")] = tensors[a]
        case "embedding":
            extra["base_model.model.model.embed_tokens.lora_embedding_A"] = tensors[a]
        case "magnitude":
            extra[a.replace("lora_A.weight", "lora_magnitude_vector")] = numpy.ones(64, numpy.float32)
        case "bias":
            extra[b.replace("weight", "bias")] = numpy.ones(64, numpy.float32)
        case "base weight":
            extra["base_model.model.lm_head.weight"] = tensors[b]
        case "control characters":
            extra["a\u202e\n\x1b[2J"] = tensors[b]
        case "not named":
            config = {"target_modules": ["v_proj"]}
        case "rank":
            config = {"r": 8}
        case "rank of one":
            config = {"rank_pattern": {"layers.1.self_attn.q_proj": 2}}
        case "ranks differ":
            tensors[b] = tensors[b][:, :3].copy()
        case "vector":
            tensors[a] = tensors[a].reshape(-1)
        case "other base":
            tensors, config = arrays(shape=OTHER), {"base_model_name_or_path": "owner/other"}
        case "other outputs":
            shape = tiny_models.shape_with(num_key_value_heads=4)
            tensors, config = arrays(("v_proj",), shape=shape), {"base_model_name_or_path": "owner/other"}
        case "more layers":
            tensors, config = arrays(shape=tiny_models.shape_with(num_hidden_layers=3)), {"base_model_name_or_path": ""}
        case "other modules":
            config = {"target_modules": ["c_attn"], "base_model_name_or_path": "gpt2"}
        case "some other modules":
            config = {"target_modules": ["q_proj", "v_proj", "c_attn"], "base_model_name_or_path": "gpt2"}
            extra = {f"base_model.model.transformer.h.0.attn.c_attn.lora_{m}.weight": tensors[a] for m in "AB"}
        case "layer that is no number":
            extra = {a.replace(".0.", ".00."): tensors[a], b.replace(".0.", ".00."): tensors[b]}
        case "nan":
            tensors[key("v_proj", "B", 1)][3, 2] = numpy.nan
        case "infinity":
            tensors[key("v_proj", "A", 0)][0, 0] = -numpy.inf
        case "nan in fp16":
            tensors = arrays(dtype=numpy.float16)
            tensors[key("q_proj", "A", 1)][0, 0] = numpy.nan
        case "infinity in bf16":
            return files | {WEIGHTS: tiny_adapters.of_type("BF16", 16, 0xFF80)}
        case "type":
            return files | {WEIGHTS: tiny_adapters.of_type("F64", 64)}
        case "whole numbers":
            return files | {WEIGHTS: tiny_adapters.of_type("I8", 8)}
        case "pickle":
            return {CONFIG: files[CONFIG], "adapter_model.bin": b"\x80\x04"}
        case "no weights":
            return {CONFIG: files[CONFIG]}
        case "no config":
            return {WEIGHTS: files[WEIGHTS]}
        case "config is a list":
            return files | {CONFIG: b"[]"}
        case "config is deep":
            return files | {CONFIG: b'{"a":' + b"[" * 100_000}
        case "config is long":
            return files | {CONFIG: json.dumps(tiny_adapters.config(x="y" * MB)).encode()}
        case "regular expression":
            config = {"target_modules": "(.*)*q_proj$"}
        case _:
            raise AssertionError(change)
    return tiny_adapters.files(tensors | extra, **config)


REFUSED = [
    ("cut", "its adapter_model.safetensors is damaged (it is cut short: "),
    ("cut in the header", "is damaged (it is cut short: it ends within its header, at 50 bytes)"),
    ("longer", "is damaged (it is too long: "),
    ("no safetensors", "its adapter_model.safetensors is damaged (it is not a safetensors file)"),
    ("name twice in the header", "is damaged (its header cannot be read)"),
    ("long header", "is damaged (its header has 5,000,"),
    (
        "absurd dimensions",
        "is damaged (its header describes the tensor base_model.model.model.layers.0.self_attn.q_pro",
    ),
    ("control characters in a damaged header", "describes the tensor ab wrongly"),
    ("no pair", "its file holds only one of the two matrices of “model.layers.0.self_attn.q_proj”: B is missing"),
    ("no tensors", "its file holds no tensors, so it changes nothing"),
    ("many tensors", "its file holds 20,001 tensors, more than 20,000"),
    ("twice", "its file holds the matrix A of “model.layers.0.self_attn.q_proj” twice"),
    ("embedding", "“base_model.model.model.embed_tokens.lora_embedding_A” changes the embeddings, and only linear"),
    ("magnitude", "lora_magnitude_vector” belongs to a DoRA, which also scales the base's weights"),
    ("bias", "its tensor “base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias” is a bias"),
    ("base weight", "its tensor “base_model.model.lm_head.weight” would replace a whole weight of the base"),
    ("control characters", "its tensor “a[2J” is not part of a plain LoRA"),
    ("not named", "its file changes “model.layers.0.self_attn.q_proj”, which its config does not name"),
    ("rank", "the rank of “model.layers.0.self_attn.q_proj” is 4 in its file and 8 in its config"),
    ("rank of one", "the rank of “model.layers.1.self_attn.q_proj” is 4 in its file and 2 in its config"),
    ("ranks differ", "the rank of “model.layers.0.self_attn.q_proj” is 4 and 3 in its file and 4 in its config"),
    ("vector", "is not a matrix: it has 1 dimensions"),
    ("other base", "it was made for owner/other: its q_proj takes 96 inputs, that of tiny-org/tiny-llama takes 64"),
    ("other outputs", "it was made for owner/other: its v_proj gives 64 outputs, that of tiny-org/tiny-llama gives 32"),
    ("more layers", "it was made for another model: it changes layer 3, and tiny-org/tiny-llama has 2"),
    ("other modules", "none of its target modules (c_attn) is in tiny-org/tiny-llama"),
    (
        "some other modules",
        "it was made for gpt2: it changes “transformer.h.0.attn.c_attn”, which tiny-org/tiny-llama do",
    ),
    (
        "layer that is no number",
        "it changes “model.layers.00.self_attn.q_proj”, which tiny-org/tiny-llama does not have",
    ),
    ("nan", "its tensor “base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight” holds NaN or infinity"),
    ("infinity", "its tensor “base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight” holds NaN or infinity"),
    ("nan in fp16", "its tensor “base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight” holds NaN"),
    ("infinity in bf16", "its tensor “base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight” holds NaN"),
    ("type", "is of the type F64, not F32, F16, BF16"),
    ("whole numbers", "is of the type I8, not F32, F16, BF16"),
    ("pickle", "its weights are only there as a pickle (adapter_model.bin), which can run code"),
    ("no weights", "it has no adapter_model.safetensors"),
    ("no config", "it has no adapter_config.json"),
    ("config is a list", "its adapter_config.json is damaged (it is not a JSON object)"),
    ("config is deep", "its adapter_config.json is damaged (it is not a JSON object)"),
    ("config is long", "its adapter_config.json is damaged (it has 1,000,"),
    ("regular expression", "a regular expression"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[change for change, _ in REFUSED])
def test_refused_with_the_reason_and_at_once(tmp_path: Path, change: str, reason: str) -> None:
    folder = tiny_adapters.write(tmp_path / "x", spoiled(change))
    started = time.process_time()
    with pytest.raises(AdapterRefused) as caught:
        check(folder)
    assert time.process_time() - started < 1
    assert reason in caught.value.message
    assert len(caught.value.message) < 320
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("dtype", [numpy.float32, numpy.float16])
def test_good_adapter(tmp_path: Path, dtype: Any) -> None:
    tensors = arrays(tiny_adapters.NAMES, dtype=dtype)
    files = tiny_adapters.files(tensors, target_modules=list(tiny_adapters.NAMES))
    checked = check(tiny_adapters.write(tmp_path / "x", files))
    assert checked.parameters == tiny_adapters.parameters(tensors)
    assert [path.name for path in checked.files] == [CONFIG, WEIGHTS]
    assert checked.config.targets == tiny_adapters.NAMES


def test_good_adapter_in_bf16_without_prefixes(tmp_path: Path) -> None:
    files = tiny_adapters.files() | {WEIGHTS: tiny_adapters.of_type("BF16", 16, 0x7F7F)}  # the largest number
    check(tiny_adapters.write(tmp_path / "x", files))
    short = {name.removeprefix("base_model.model."): tensor for name, tensor in arrays().items()}
    check(tiny_adapters.write(tmp_path / "y", tiny_adapters.files(short)))


def test_of_a_base_that_is_not_counted_it_is_said_that_its_layers_are_not_known(tmp_path: Path) -> None:
    base = Base("owner/gpt2", replace(tiny_models.SHAPE, estimated=True))
    (tmp_path / "adapter_config.json").write_text(json.dumps(tiny_adapters.config(target_modules=["c_attn"])))
    with pytest.raises(AdapterRefused, match="the layers of owner/gpt2 are not known here"):
        adapter_checks.read_config(tmp_path, "mine", base)


def test_head_and_rank_patterns(tmp_path: Path) -> None:
    tensors = arrays(("q_proj",)) | arrays(("up_proj",), rank=2)
    tensors["base_model.model.lm_head.lora_A.weight"] = numpy.ones((4, 64), numpy.float32)
    tensors["base_model.model.lm_head.lora_B.weight"] = numpy.ones((256, 4), numpy.float32)
    changes = {"target_modules": ["q_proj", "up_proj", "lm_head"], "rank_pattern": {"up_proj": 2}}
    check(tiny_adapters.write(tmp_path / "x", tiny_adapters.files(tensors, **changes)))


def test_fused_layers_of_phi(tmp_path: Path) -> None:
    phi = base_of(tiny_models.card(shape=tiny_models.shape_with(model_type="phi3")))
    tensors = {}
    for name, outputs in (("qkv_proj", 64 + 2 * 32), ("gate_up_proj", 2 * 128)):
        for layer in range(2):
            tensors[key(name, "A", layer)] = numpy.ones((4, 64), numpy.float32)
            tensors[key(name, "B", layer)] = numpy.ones((outputs, 4), numpy.float32)
    files = tiny_adapters.files(tensors, target_modules=["qkv_proj", "gate_up_proj"])
    check(tiny_adapters.write(tmp_path / "x", files), phi)
    with pytest.raises(AdapterRefused, match="none of its target modules"):
        check(tmp_path / "x")
    with pytest.raises(AdapterRefused, match="none of its target modules"):
        check(tiny_adapters.write(tmp_path / "y"), phi)


def test_size_limit_comes_before_the_file_is_read(tmp_path: Path) -> None:
    folder = tiny_adapters.write(tmp_path / "x")
    os.truncate(folder / WEIGHTS, 300 * MB)
    with pytest.raises(AdapterRefused, match=r"has 300 MB, more than the 256 MB that are allowed here"):
        check(folder)


def test_link_out_of_the_cache(tmp_path: Path) -> None:
    folder = tiny_adapters.write(tmp_path / "cache" / "x")
    (folder / WEIGHTS).rename(tmp_path / "elsewhere")
    (folder / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterRefused, match="a link to outside of the cache"):
        check(folder, inside=tmp_path / "cache")
    check(folder)  # in the operator's own folder a link may go anywhere
    (folder / CONFIG).unlink()
    os.mkfifo(folder / CONFIG)
    with pytest.raises(AdapterRefused, match="it is not a file"):
        check(folder)


@pytest.mark.parametrize(
    ("named", "warned"),
    [
        (tiny_models.HUB_ID, ""),
        ("Tiny-Org/TINY-llama/", ""),
        ("tiny-org/tiny-llama@main", ""),
        ("", "It names no base: that the shapes of its matrices fit tiny-org/tiny-llama is all that is known."),
        (
            "/home/me/base",
            "It was made for /home/me/base, not for tiny-org/tiny-llama: only the shapes of their layers agree.",
        ),
        ("tiny-org/tiny-llama-2", "It was made for tiny-org/tiny-llama-2, not for"),
    ],
)
def test_warning_names_the_base_of_the_config(named: str, warned: str) -> None:
    config = read_lora(tiny_adapters.config(base_model_name_or_path=named), "x")
    said = adapter_checks.warning(config, BASE)
    assert said.startswith(warned) if warned else said == ""


def test_narrowed_card_is_the_same_base() -> None:
    card = load_catalog()["qwen2.5-0.5b-instruct"]
    narrowed = card_for(MODES["awq"], card)
    assert (narrowed.hub_id, base_of(narrowed).name) == ("Qwen/Qwen2.5-0.5B-Instruct-AWQ", card.hub_id)


@pytest.mark.parametrize(
    ("module", "sizes"),
    [
        ("model.layers.1.mlp.down_proj", (64, 128)),
        ("model.layers.99.self_attn.k_proj", (32, 64)),
        ("lm_head", (256, 64)),
        ("model.layers.1.self_attn.down_proj", None),
        ("layers.1.mlp.down_proj", None),
        ("model.layers.-1.mlp.down_proj", None),
        ("model.layers.1.mlp.down_proj.base_layer", None),
        ("model.lm_head", None),
        ("model.embed_tokens", None),
    ],
)
def test_modules_of_a_base(module: str, sizes: tuple[int, int] | None) -> None:
    found = linear_of(module, BASE)
    assert (found and (found.outputs, found.inputs)) == sizes


def test_values_over_the_borders_of_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_header, "PIECE", 64)
    made = {f"t{n}": numpy.ones(n, numpy.float16 if n % 2 else numpy.float32) for n in range(1, 40)}
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(made))
    assert first_infinite(path, read_tensors(path)) == ""
    for n in range(1, 40):
        for place in (0, n // 2, n - 1):
            made[f"t{n}"][place] = numpy.nan
            path.write_bytes(save(made))
            assert first_infinite(path, read_tensors(path)) == f"t{n}"
            made[f"t{n}"][place] = 1


def test_file_that_becomes_shorter_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(arrays()))
    tensors = read_tensors(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(CorruptWeights, match="cut short"):
        first_infinite(path, tensors)


def large_file(path: Path, megabytes: int) -> None:
    """Valid in all but its names: one fp16 matrix in several tensors."""
    rows = megabytes * MB // 2 // 4096 // 8
    save_to = {f"t{n}": numpy.ones((rows, 4096), numpy.float16) for n in range(8)}
    path.write_bytes(save(save_to))


def test_50_mb_of_values_take_no_time(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    large_file(path, 50)
    started = time.process_time()
    assert first_infinite(path, read_tensors(path)) == ""
    assert time.process_time() - started < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "targets"),
    [
        ("LlamaForCausalLM", [*tiny_adapters.NAMES]),
        ("LlamaForCausalLM", ["q_proj", "lm_head"]),
        ("Qwen2ForCausalLM", ["k_proj", "down_proj"]),
        ("Phi3ForCausalLM", ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
        ("LlamaForCausalLM", "all-linear"),
    ],
)
def test_adapter_as_peft_writes_it(tmp_path: Path, architecture: str, targets: Any) -> None:
    """Its names, its config and the sizes of the real model's layers."""
    import peft
    import torch
    import transformers

    cls = getattr(transformers, architecture)
    with torch.device("cpu"):
        model = cls(cls.config_class(**tiny_models.config(pad_token_id=0, tie_word_embeddings=False)))
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM", rank_pattern={"o_proj": 2}, use_rslora=True
    )
    model = peft.get_peft_model(model, config)
    if "lm_head" in targets:
        model.save_pretrained(tmp_path)
        with pytest.raises(AdapterRefused, match=r"lm_head\.base_layer\.weight” would replace a whole weight"):
            check(tmp_path)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    checked = check(tmp_path, base_of(tiny_models.card(shape=read_shape(model.config.to_dict()))))
    assert checked.parameters == sum(p.numel() for n, p in model.named_parameters() if "lora_" in n)
    assert checked.config.by_root
    assert adapter_checks.warning(checked.config, BASE).startswith("It names no base")
