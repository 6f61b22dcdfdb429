"""What a checkpoint holds is read from its headers, and its parameters are counted exactly, quantized ones too."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from safetensors.numpy import save_file

from models.__main__ import main
from models.domain.errors import CorruptWeights, NotACheckpoint, UnsafePickle
from models.workshop.listing import listed
from models.workshop.tree import tree

sys.path.insert(0, str(Path(__file__).parents[1] / "weights"))  # for the helper beside the tests

import tiny_models

COUNT = sum(math.prod(sizes) for sizes in tiny_models.whole_model().values())


@pytest.mark.parametrize("stated", [tiny_models.NF4, tiny_models.INT8, tiny_models.GPTQ, tiny_models.AWQ])
def test_parameters_of_quantized_weights(tmp_path: Path, stated: dict[str, object]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": stated}))
    tensors = tiny_models.quantized_tensors(stated)
    save_file(tensors, tmp_path / "model.safetensors")
    listing = listed(tmp_path)
    if stated["quant_method"] in ("gptq", "awq"):  # there all matrices are of one size
        packed = sum(8 * 128 * 8 for name in tensors if name.endswith("qweight"))
        rest = sum(math.prod(sizes) for name, sizes in tiny_models.whole_model().items() if name in tensors)
        assert listing.parameters == packed + rest
    else:
        assert listing.parameters == COUNT
    assert listing.bytes == sum(array.nbytes for array in tensors.values())


def test_torch_files_by_their_table_alone(tmp_path: Path) -> None:
    state = {
        "a.weight": torch.zeros(30, 4, dtype=torch.bfloat16),
        "layers.0.b": torch.ones(3),
        "layers.1.b": torch.ones(3),
    }
    torch.save(state, tmp_path / "pytorch_model.bin")
    found = listed(tmp_path)
    first = found.tensors[0]
    assert (first.name, first.shape, first.dtype) == ("a.weight", (30, 4), "BF16")
    assert (found.parameters, found.bytes) == (126, 240 + 24)
    assert list(tree(found))[2:] == [
        "  layers.0 to 1: 3 parameters in each of 2",
        "    b                 3  F32                  3",
    ]
    torch.save(state, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(CorruptWeights, match="before 2020"):
        listed(tmp_path / "old.bin")
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "module.pt")
    with pytest.raises(UnsafePickle):
        listed(tmp_path / "module.pt")


def test_a_gguf_model(smollm2_gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(smollm2_gguf)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "134,515,008 parameters" in lines[0]  # as published
    assert any("Q4_1" in line for line in lines)


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "nothing.gguf"):
        with pytest.raises(NotACheckpoint):
            listed(path)
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(CorruptWeights):
        listed(tmp_path)
