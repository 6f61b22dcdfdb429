"""What is looked at before anything reads a file: no network, no process."""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import gguf
import pytest
import tiny_models

from models.domain.errors import CorruptWeights, DiskFull, DownloadFailed, UnsafeWeights
from models.weights import fetch_errors
from models.weights.verify import checks, gguf_header
from models.weights.verify.file_names import wanted_names
from models.weights.verify.safetensors_header import read_tensors

ROOT = Path(__file__).parents[4]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    for name, data in tiny_models.model_files().items():
        (path / name).write_bytes(data)
    return path


def put(folder: Path, name: str, data: object) -> None:
    (folder / name).write_text(json.dumps(data))


def test_good_folder(folder: Path) -> None:
    used = {path.name for path in checks.check_folder(folder, "tiny")}
    assert used == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"auto_map": {"AutoModel": "modeling.Tiny"}}, "auto_map"),
        ({"text_config": {"parts": [{"auto_map": {"AutoModel": "x.y"}}]}}, "auto_map"),
        ({"architectures": ["EvilForCausalLM"]}, "EvilForCausalLM"),
        ({"architectures": None}, "does not name one architecture"),
        ({"architectures": ["LlamaForCausalLM", "EvilForCausalLM"]}, "does not name one architecture"),
        ({"model_type": "qwen2"}, "says LlamaForCausalLM, and a model type of another"),
        ({"hidden_size": 10**9}, "hidden_size"),
        ({"num_hidden_layers": -1}, "num_hidden_layers"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"num_key_value_heads": 3}, "cannot share"),
        ({"tie_word_embeddings": "no"}, "neither true nor false"),
        ({"_attn_implementation": "somebody/kernel"}, "attention of its own"),
        ({"hub_kernel": "somebody/kernel"}, "kernel"),
        ({"use_kernels": True}, "kernel"),
    ],
)
def test_config_that_is_refused(folder: Path, changes: dict[str, object], reason: str) -> None:
    put(folder, "config.json", tiny_models.config(**changes))
    with pytest.raises(UnsafeWeights, match=reason):
        checks.check_folder(folder, "tiny")


@pytest.mark.parametrize("file", ["tokenizer_config.json", "generation_config.json"])
def test_code_in_other_settings_is_refused(folder: Path, file: str) -> None:
    put(folder, file, {"auto_map": {"AutoTokenizer": ["x.y", None]}})
    with pytest.raises(UnsafeWeights, match=file):
        checks.check_folder(folder, "tiny")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, json.dumps({"x": "y" * 1_000_001})])
def test_config_that_cannot_be_read(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CorruptWeights, match=r"config\.json"):
        checks.check_folder(folder, "tiny")


def test_index_must_agree_with_the_files(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    for weight_map, wrong in (
        ({"missing.weight": "model-00001-of-00001.safetensors"}, "missing.weight"),
        ({"x": "../../etc/passwd"}, "cannot be used"),
        ({}, "cannot be used"),
    ):
        put(folder, "model.safetensors.index.json", {"weight_map": weight_map})
        with pytest.raises(CorruptWeights, match=wrong):
            checks.check_folder(folder, "tiny")


def test_safetensors_that_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(tiny_models.safetensors())
    found = read_tensors(path)
    assert (len(found), found["filler"].shape) == (21, (16 * 1024,))
    assert found["model.embed_tokens.weight"].shape == (256, 64)


@pytest.mark.parametrize("keep", [0, 4, 9, 100, -1])
def test_safetensors_cut_anywhere(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(tiny_models.safetensors()[:keep])
    with pytest.raises(CorruptWeights):
        read_tensors(path)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}},
        {"a": "b"},
        [],
    ],
)
def test_safetensors_with_a_forged_header(tmp_path: Path, header: object) -> None:
    raw = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(8))
    with pytest.raises(CorruptWeights):
        read_tensors(path)


def test_gguf_that_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny_models.gguf_bytes(tmp_path))
    gguf_header.check_start(path)
    gguf_header.check_whole(path)


def test_gguf_cut_anywhere(tmp_path: Path) -> None:
    data = tiny_models.gguf_bytes(tmp_path)
    path = tmp_path / "x.gguf"
    for keep in (0, 3, 23, 30, 200, 3000, len(data) - 64, len(data) // 2):
        path.write_bytes(data[:keep])
        with pytest.raises(CorruptWeights):
            gguf_header.check_whole(path)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"GGML"), (4, struct.pack("<I", 99)), (8, b"\xff" * 8), (16, b"\xff" * 8), (24, b"\xff" * 8)],
)
def test_gguf_with_a_forged_header(tmp_path: Path, at: int, value: bytes) -> None:
    data = bytearray(tiny_models.gguf_bytes(tmp_path))
    data[at : at + len(value)] = value
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(CorruptWeights):
        gguf_header.check_whole(path)


def test_block_sizes_are_those_of_the_gguf_package() -> None:
    published = {int(kind): size for kind, size in gguf.constants.GGML_QUANT_SIZES.items()}
    assert {kind: size for kind, size in published.items() if kind in gguf_header.BLOCKS} == gguf_header.BLOCKS


def test_names_that_are_wanted() -> None:
    names = ["config.json", "model.safetensors", "model.fp16.safetensors", "x.py", "pytorch_model.bin", "a/config.json"]
    assert wanted_names([*names, "tokenizer.json"], "m") == ["config.json", "tokenizer.json", "model.safetensors"]
    for present, reason in ((["pytorch_model.bin"], "pickled"), (["a.gguf"], "GGUF"), ([], "no model.safetensors")):
        with pytest.raises(UnsafeWeights, match=reason):
            wanted_names(present, "m")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_said(tmp_path: Path, code: int) -> None:
    with pytest.raises(DiskFull, match=tmp_path.name), fetch_errors.translated("tiny", tmp_path):
        raise OSError(code, os.strerror(code))


def test_any_other_exception_is_said_without_addresses(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="an address") as caught, fetch_errors.translated("tiny", tmp_path):
        raise ValueError("cannot open https://user:secret@example.org/x")
    assert "secret" not in str(caught.value)


def test_importing_is_light() -> None:
    script = (
        "import sys, models.weights.sources, models.weights.adapters\n"
        "print({'torch', 'transformers', 'huggingface_hub', 'peft', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip() == "set()"
