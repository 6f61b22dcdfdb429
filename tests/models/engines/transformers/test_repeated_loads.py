"""Ten loads and ejects in a row: what a model took comes back each time."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from models.domain.engine import Prompt
from models.domain.load import Local
from models.domain.messages import Sampling
from models.engines.device import resident_bytes
from models.engines.llama.engine import open_gguf
from models.weights import sources

ROOT = Path(__file__).resolve().parents[4]
TIMES = 10
TRANSFORMERS = """
import sys
from models.engines.device import resident_bytes
from models.engines.transformers.engine import open_transformers
from models.domain.engine import Prompt
from models.domain.messages import Sampling
from models.domain.settings import Settings
from models.domain.load import Snapshot

for _ in range(int(sys.argv[3])):
    snapshot = Snapshot(sys.argv[1], "safetensors", "converted", 0)
    engine = open_transformers(snapshot, sys.argv[2], "cpu", Settings.from_env(), id)
    for _ in engine.generate(Prompt("Once upon a time"), Sampling(max_new_tokens=3, temperature=0)): pass
    for _ in engine.score(Prompt("Once upon a time there was a fox.")): pass
    held = resident_bytes()
    engine.close()
    print(held, resident_bytes())
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["nf4", "bf16", "dynamic-int8"])
def test_transformers(smollm2_folder, mode):
    command = [sys.executable, "-c", TRANSFORMERS, str(smollm2_folder), mode, str(TIMES)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    held, after = zip(*(map(int, line.split()) for line in done.stdout.splitlines()), strict=True)
    assert len(after) == TIMES
    assert min(held) > max(after) + 60e6
    assert max(after[1:]) < 1.05 * after[0], [round(size / 1e6) for size in after]


@pytest.mark.slow
def test_llama_cpp(runtime):
    card = runtime.catalog["smollm2-135m-instruct"]
    snapshot = sources.resolve(card, "gguf", runtime.settings, lambda progress: None, lambda: False)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    after = []
    for _ in range(TIMES):
        engine = open_gguf(Local(snapshot, "gguf", context=256, slots=1), "cpu", runtime.settings, lambda step: None)
        assert list(engine.generate(Prompt("Once"), Sampling(max_new_tokens=2, temperature=0)))
        engine.close()
        after.append(resident_bytes())
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert max(after[1:]) < 1.1 * after[0]
