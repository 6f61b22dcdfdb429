"""What is read from the headers of GGUF files, against what llama.cpp makes of the same files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_ggufs import EXPERTS, MODELS, H, write_gguf
from tiny_models import card

from models.domain.catalog import Catalog
from models.domain.memory.plan import FILE_NOT_COUNTED, MIB, kv_bytes, state_bytes
from models.domain.memory.speed import token_bytes
from models.domain.quantization import MODES
from models.domain.settings import Settings
from models.domain.shapes.read import read_shape
from models.domain.variant import Variant
from models.runtime import Runtime
from models.weights.gguf_contents import gguf_contents

SLOTS = 16
PACKED = ("llama", "qwen3moe")  # with and without experts, whose matrices are packed as Q4_0
# What llama.cpp prints of a file, and the model's facts as its server states them.
CHILD = """
import json, sys, urllib.request, xllamacpp
path, context, slots = json.loads(sys.argv[1])
p = xllamacpp.CommonParams()
p.model.path, p.n_ctx, p.n_parallel, p.n_batch, p.n_ubatch = path, context * slots, slots, 256, 256
p.n_gpu_layers, p.verbosity, p.ui, p.cache_ram_mib = 0, 4, False, 0
p.cpuparams.n_threads, p.warmup, p.fit_params = 1, False, False
server = xllamacpp.Server(p)  # it ends with its object
answer = urllib.request.urlopen(server.listening_address + "/v1/models", timeout=30)
print(json.dumps(json.load(answer)["data"][0]["meta"]))
"""


def context_of(architecture: str) -> int:
    return 9216 if architecture == "llama4" else 1024  # longer than its window


@pytest.mark.parametrize("name", [*MODELS, *(f"{name} packed" for name in PACKED)])
def test_bytes_and_caches_are_those_of_llama_cpp(tmp_path: Path, name: str) -> None:
    architecture, _, packed = name.partition(" ")
    path, context = write_gguf(architecture, tmp_path / "tiny.gguf", q4_0=bool(packed)), context_of(architecture)
    order = json.dumps([str(path), context, SLOTS])
    done = subprocess.run([sys.executable, "-c", CHILD, order], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    meta, said = json.loads(done.stdout.splitlines()[-1]), done.stderr
    found = gguf_contents(str(path), "")
    assert found is not None
    assert (found.weights, found.shape.parameters) == (meta["size"], meta["n_params"])
    caches = [float(mib) for mib in re.findall(r"llama_kv_cache: size = +([\d.]+) MiB", said)]
    planned = kv_bytes(found.shape, MODES["gguf"], context, SLOTS) / MIB
    assert sum(caches) == pytest.approx(planned, abs=0.011 * len(caches))
    states = [float(mib) for mib in re.findall(r"llama_memory_recurrent: size = +([\d.]+) MiB", said)]
    assert sum(states) == pytest.approx(state_bytes(found.shape, MODES["gguf"], SLOTS) / MIB, abs=0.006)
    repacked = [float(mib) for mib in re.findall(r"CPU_REPACK model buffer size = +([\d.]+) MiB", said)]
    assert sum(repacked) == pytest.approx(found.repacked / MIB, abs=0.006)
    assert bool(found.repacked) == bool(packed)


# The same three as their config.json would say it.
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16}
CONFIGS: dict[str, dict[str, Any]] = {
    "lfm2": {"model_type": "lfm2", "full_attn_idxs": [1, 3]},
    "granitehybrid": {"model_type": "granitemoehybrid", "layer_types": ["mamba", "mamba", "attention"]}
    | {"mamba_n_heads": 8, "mamba_d_state": 16, "mamba_n_groups": 2, "num_local_experts": 0},
    "qwen35": {"model_type": "qwen3_5_text", "full_attention_interval": 2} | DELTA,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_without_a_file_the_state_is_planned_as_with_one(tmp_path: Path, name: str) -> None:
    found = gguf_contents(str(write_gguf(name, tmp_path / "tiny.gguf")), "")
    assert found is not None
    sizes = {"hidden_size": H, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 256}
    layers = {"num_hidden_layers": len(found.shape.layers), "intermediate_size": H, "shared_intermediate_size": H}
    shape = read_shape(CONFIGS[name] | sizes | layers)
    assert state_bytes(shape, MODES["gguf"]) == state_bytes(found.shape, MODES["gguf"]) > 0
    assert kv_bytes(shape, MODES["gguf"], 1024) == kv_bytes(found.shape, MODES["gguf"], 1024) > 0


def test_a_token_reads_only_its_experts_and_a_row_of_the_embeddings(tmp_path: Path) -> None:
    found = gguf_contents(str(write_gguf("qwen3moe", tmp_path / "moe.gguf")), "")
    assert found is not None
    assert found.shape.experts == (EXPERTS, 2)
    stacks = 3 * 3 * EXPERTS * H * H * 4
    assert found.unread == stacks // 2 + 256 * H * 4
    one = replace(card(), shape=found.shape, stored=found)
    kept = kv_bytes(found.shape, MODES["gguf"], 1024)
    assert token_bytes(one, MODES["gguf"]) == found.weights - found.unread + kept


@pytest.mark.parametrize(
    "change",
    [
        {"block_count": None},
        {"block_count": 4000},
        {"attention.head_count_kv": [2]},
        {"attention.head_count": 4_000_000_000},
        {"embedding_length": 1.5},
    ],
)
def test_a_header_that_describes_no_model_is_left_to_the_card(tmp_path: Path, change: dict[str, Any]) -> None:
    assert gguf_contents(str(write_gguf("llama", tmp_path / "odd.gguf", change)), "") is None


def test_the_plan_goes_by_the_file_and_says_where_the_card_differs(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    file = write_gguf("gemma3", folder / "tiny.gguf")
    entry = card(context=4096)
    settings = Settings(models_dir=str(tmp_path / "models"), cache_dir=str(tmp_path / "cache"), context=1024, slots=1)
    runtime = Runtime(settings, Catalog([replace(entry, gguf=None), replace(entry, key="other")]))
    found = gguf_contents(str(file), "")
    assert found is not None
    planned = runtime.planner.plan(entry, MODES["gguf"])
    parts = {part.key: part.bytes for part in planned.parts}
    assert parts["quantized"] == found.weights
    assert parts["kv"] == kv_bytes(found.shape, MODES["gguf"], 1024)
    assert planned.parameters == found.shape.parameters
    assert [note.partition(":")[0] for note in planned.notes] == [
        "layers",
        "values of the KV cache for each token",
        "layers with a sliding window",
    ]
    assert "7 as llama.cpp reads its GGUF file, 2 by its config" in planned.notes[0]
    other = folder / "tiny.gguf"
    other.write_bytes(file.read_bytes().replace(b"gemma3", b"gemma9"))
    planned = runtime.planner.plan(entry, MODES["gguf"])
    assert planned.notes == (FILE_NOT_COUNTED,)
    assert (planned.weights, planned.parameters) == (found.weights, entry.parameters), "the bytes are the file's anyway"
    other.write_bytes(other.read_bytes().replace(b"gemma9", b"gemma3"))
    agreeing = replace(entry, shape=found.shape)
    assert not runtime.planner.plan(agreeing, MODES["gguf"]).notes
    assert not runtime.plan(Variant("other", "bf16")).notes, "safetensors are planned by the card"
