"""What the plan says, against a real load and a real answer in a process of their own."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from models.domain.catalog import ModelCard
from models.domain.load import Snapshot
from models.domain.memory.plan import Budget, plan
from models.domain.quantization import MODES, Machine, mode_named
from models.domain.shapes.read import read_shape
from models.domain.variant import Variant
from models.engines.device import native_bf16, packages
from models.runtime import Runtime
from models.weights.verify import checks

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2, GEMMA, QWEN = "smollm2-135m-instruct", "gemma-3-270m", "qwen2.5-coder-1.5b-instruct"
CONTEXT, NEW = 640, 8
MACHINE = Machine("cpu", packages(), native_bf16())
BUDGET = Budget("main memory", 10**12, 10**12)

# The peak of a load and an answer, over what was resident before: our code is imported, torch is not.
CHILD = """
import json, sys
from models.engines.device import PeakMemory, resident_bytes
from models.engines.transformers.engine import open_transformers
from models.engines.llama.engine import open_gguf
from models.domain.engine import Prompt
from models.domain.messages import Sampling
from models.domain.settings import Settings
from models.domain.load import Local, Snapshot

snapshot, mode, context, filled, new, token = json.loads(sys.argv[1])
snapshot, settings, peak = Snapshot(**snapshot), Settings(context=context), PeakMemory()
before = resident_bytes()
peak.start()
if snapshot.form == "gguf":  # all of it is in a process of its own
    engine = open_gguf(Local(snapshot, mode, context, slots=1), "cpu", settings, id)
    most = 0
else:
    engine = open_transformers(snapshot, mode, "cpu", settings, id)
    most = peak.read() - before
prompt = Prompt("Once" + token * (filled - new - 16))
for delta in engine.generate(prompt, Sampling(max_new_tokens=new, temperature=0)):
    usage = delta.usage
assert usage.prompt_tokens + new > filled - 32, usage
answered = usage.peak_bytes if snapshot.form == "gguf" else usage.peak_bytes - before
print(json.dumps({"weights": engine.bytes, "loading": most, "answering": answered, "peak": max(most, answered)}))
"""

# A hybrid and a mixture of experts, of 350 and 430 MB in bf16.
LARGE: dict[str, dict[str, Any]] = {
    "hybrid": {
        "model_type": "qwen3_5_text",
        "num_hidden_layers": 12,
        "hidden_size": 1024,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "intermediate_size": 2048,
        "linear_num_key_heads": 8,
        "linear_num_value_heads": 16,
        "max_position_embeddings": 4096,
    },
    "mixture": {
        "model_type": "qwen3_moe",
        "num_hidden_layers": 4,
        "hidden_size": 1024,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "moe_intermediate_size": 1024,
        "num_experts": 16,
        "num_experts_per_tok": 4,
        "max_position_embeddings": 4096,
    },
}
RANDOM = [(model, name) for model in LARGE for name in ("bf16", "nf4")]

DEFAULT = [(SMOLLM2, "bf16"), (SMOLLM2, "gguf")]
ALL = [(model, name) for model in (SMOLLM2, GEMMA) for name, mode in MODES.items() if "cpu" in mode.accelerators]
ALL += [(QWEN, name) for name in ("gguf", "bf16", "nf4")]  # its other modes take more memory than most machines have
LONG = 8192  # llama.cpp takes all of its KV cache at the load, so it need not be filled
CACHES = [(SMOLLM2, f"gguf{kv}", LONG) for kv in ("", "/kv8", "/kv4")]
SLOW = [(model, name) for model, name in ALL if (model, name) not in DEFAULT and MODES[name].packing != "grouped"]


def figures(model: str, name: str, context: int = CONTEXT) -> dict[str, Any]:
    """Bytes of one mode, `planned` and measured: weights, and the most that was resident."""
    runtime = Runtime()
    card, snapshot = runtime.catalog[model], runtime.fetch(Variant(model, name))
    mode = mode_named(name, card)
    assert mode is not None
    return against_plan(runtime.planner.stored(card, mode), snapshot, name, context)  # a GGUF file by its header


def random_figures(model: str, name: str, folder: Path) -> dict[str, Any]:
    """The same of a model of LARGE, made in `folder` with random weights in bf16."""
    from transformers import AutoConfig

    from models.engines.transformers.engine_thread import engine_thread
    from tests.models.conftest import build_decoder

    engine_thread().run(lambda: build_decoder(folder, AutoConfig.for_model(dtype="bfloat16", **LARGE[model])))
    files = checks.check_folder(folder, model)
    shape = read_shape(checks.read_config(folder, model))
    card = ModelCard(model, model, model, "instruct", "owner/random", "mit", 4096, shape)
    size = sum(file.stat().st_size for file in files if file.suffix == ".safetensors")
    return against_plan(card, Snapshot(str(folder), "safetensors", "converted", size), name, token="~")


def against_plan(
    card: ModelCard, snapshot: Snapshot, name: str, context: int = CONTEXT, token: str = " the"
) -> dict[str, Any]:
    """What is planned for a model in a mode, and what a process of its own takes, with a prompt of that token."""
    mode = mode_named(name, card)
    assert mode is not None
    planned = plan(f"{card.key}@{name}", card, mode, MACHINE, BUDGET, context, files=snapshot.bytes)
    order = json.dumps([asdict(snapshot), name, context, CONTEXT, NEW, token])
    child = subprocess.run([sys.executable, "-c", CHILD, order], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return {"planned": {"weights": planned.weights, "peak": planned.peak}, **json.loads(child.stdout.splitlines()[-1])}


@pytest.mark.parametrize(("model", "name"), [*DEFAULT, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
def test_weights_and_peak_are_as_predicted(model: str, name: str) -> None:
    if not set(MODES[name].packages) <= MACHINE.packages:
        pytest.skip(f"{MODES[name].packages} are not installed")
    found = figures(model, name)
    close = 0 if MODES[name].form == "gguf" else 0.02
    assert found["planned"]["weights"] == pytest.approx(found["weights"], rel=close), found
    assert found["planned"]["peak"] == pytest.approx(found["peak"], rel=0.10), found


@pytest.mark.parametrize(("model", "name", "context"), [pytest.param(*CACHES[0], marks=pytest.mark.slow), *CACHES[1:]])
def test_a_long_kv_cache_is_as_predicted(model: str, name: str, context: int) -> None:
    found = figures(model, name, context)
    assert found["planned"]["peak"] == pytest.approx(found["peak"], rel=0.10), found


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name"), RANDOM)
def test_hybrids_and_mixtures_are_as_predicted(model: str, name: str, tmp_path: Path) -> None:
    found = random_figures(model, name, tmp_path)
    assert found["planned"]["weights"] == pytest.approx(found["weights"], rel=0.02), found
    assert found["planned"]["peak"] == pytest.approx(found["peak"], rel=0.10), found
