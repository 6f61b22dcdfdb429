"""What the plan says, against a real load and a real answer in a process of their own."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from models.domain.memory.plan import Budget, plan
from models.domain.quantization import MODES, Machine
from models.domain.variant import Variant
from models.engines.device import native_bf16, packages
from models.runtime import Runtime

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

snapshot, mode, context, new = json.loads(sys.argv[1])
snapshot, settings, peak = Snapshot(**snapshot), Settings(context=context), PeakMemory()
before = resident_bytes()
peak.start()
if snapshot.form == "gguf":  # all of it is in a process of its own
    engine = open_gguf(Local(snapshot, mode, context, slots=1), "cpu", settings, id)
    most = 0
else:
    engine = open_transformers(snapshot, mode, "cpu", settings, id)
    most = peak.read() - before
prompt = Prompt("Once upon a time" + " the" * (context - new - 16))
for delta in engine.generate(prompt, Sampling(max_new_tokens=new, temperature=0)):
    usage = delta.usage
assert usage.prompt_tokens + new > context - 32, usage
answered = usage.peak_bytes if snapshot.form == "gguf" else usage.peak_bytes - before
print(json.dumps({"weights": engine.bytes, "loading": most, "answering": answered, "peak": max(most, answered)}))
"""

DEFAULT = [(SMOLLM2, "bf16"), (SMOLLM2, "gguf")]
ALL = [(model, name) for model in (SMOLLM2, GEMMA) for name, mode in MODES.items() if "cpu" in mode.accelerators]
ALL += [(QWEN, name) for name in ("gguf", "bf16", "nf4")]  # its other modes take more memory than most machines have
SLOW = [(model, name) for model, name in ALL if (model, name) not in DEFAULT and MODES[name].packing != "grouped"]


def figures(model: str, name: str) -> dict[str, Any]:
    """Bytes of one mode, `planned` and measured: weights, and the most that was resident."""
    runtime, mode = Runtime(), MODES[name]
    snapshot = runtime.fetch(Variant(model, name))
    planned = plan(f"{model}@{name}", runtime.catalog[model], mode, MACHINE, BUDGET, CONTEXT, files=snapshot.bytes)
    order = json.dumps([asdict(snapshot), name, CONTEXT, NEW])
    child = subprocess.run([sys.executable, "-c", CHILD, order], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return {"planned": {"weights": planned.weights, "peak": planned.peak}, **json.loads(child.stdout.splitlines()[-1])}


@pytest.mark.parametrize(("model", "name"), [*DEFAULT, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
def test_weights_and_peak_are_as_predicted(model: str, name: str) -> None:
    if not set(MODES[name].packages) <= MACHINE.packages:
        pytest.skip(f"{MODES[name].packages} are not installed")
    found = figures(model, name)
    assert found["planned"]["weights"] == pytest.approx(found["weights"], rel=0.02), found
    assert found["planned"]["peak"] == pytest.approx(found["peak"], rel=0.10), found
