"""A saved variant loads again from its shards and answers the same, plain, quantized and merged."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lora_files import write_adapter

from models.__main__ import main
from models.domain.errors import CannotSave, CorruptWeights, OutputExists
from models.domain.messages import Sampling
from models.domain.request import CompletionRequest
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.runtime import Runtime
from models.weights.verify.checks import check_written
from models.workshop.save import copy, save

ROOT = Path(__file__).parents[3]
KB = 1000


@pytest.fixture
def runtime(tmp_path: Path, tiny_folder: Path) -> Runtime:
    """A machine whose models folder holds me/tiny."""
    shutil.copytree(tiny_folder, tmp_path / "models/me/tiny")
    write_adapter(tmp_path / "adapters", "mine", seed=3, size=0.2)
    where = {"models_dir": str(tmp_path / "models"), "adapters_dir": str(tmp_path / "adapters")}
    return Runtime(Settings(cache_dir=str(tmp_path / "cache"), hub_ids=True, threads=1, **where))


def answer(runtime: Runtime, spelling: str) -> str:
    request = CompletionRequest(Variant.parse(spelling), "Once upon a time", Sampling(temperature=0, max_new_tokens=24))
    return "".join(event.text for event in runtime.answer(request) if hasattr(event, "usage"))


@pytest.mark.parametrize(
    ("spelling", "again"),
    [("@fp32", "@fp32"), ("@bf16", "@bf16"), ("@nf4", "@nf4"), ("@int8", "@int8"), ("@fp32+mine:0.8", "@fp32")],
)
def test_it_answers_the_same(runtime: Runtime, spelling: str, again: str) -> None:
    out = Path(runtime.settings.models_dir, "me/copy")
    save(runtime, Variant.parse(f"me/tiny{spelling}"), out, 60 * KB, lambda step: None)
    shards = sorted(out.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert all(file.stat().st_size < 130 * KB for file in shards)  # the embeddings are the largest tensor
    check_written(out, "copy")
    before, after = answer(runtime, f"me/tiny{spelling}"), answer(runtime, f"me/copy{again}")
    assert before == after != ""
    quantized = json.loads((out / "config.json").read_text()).get("quantization_config")
    assert bool(quantized) == (spelling in ("@nf4", "@int8"))
    if quantized:
        assert sum(file.stat().st_size for file in shards) < sum(
            file.stat().st_size for file in Path(runtime.settings.models_dir, "me/tiny").glob("*.safetensors")
        )
    assert sorted(path.name for path in out.parent.iterdir()) == ["copy", "tiny"]
    with pytest.raises(OutputExists):
        save(runtime, Variant.parse(f"me/tiny{spelling}"), out, 60 * KB, lambda step: None)


@pytest.mark.parametrize("mode", ["gguf", "dynamic-int8"])
def test_what_has_no_such_form(mode: str, tmp_path: Path) -> None:
    with pytest.raises(CannotSave):
        save(Runtime(), Variant.parse(f"smollm2-135m-instruct@{mode}"), tmp_path / "out", KB, lambda step: None)


def test_a_killed_copy_is_taken_up(runtime: Runtime, tmp_path: Path) -> None:
    source, out = Path(runtime.settings.models_dir, "me/tiny"), tmp_path / "out"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom models.domain.settings import Settings\n"
        "from models.domain.variant import Variant\nfrom models.runtime import Runtime\n"
        "from models.workshop.save import save\n"
        f"settings = Settings(cache_dir={runtime.settings.cache_dir!r}, hub_ids=True,"
        f" models_dir={runtime.settings.models_dir!r})\n"
        "def step(p):\n    if p.stage == 'convert' and p.done > p.total / 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"save(Runtime(settings), Variant.parse('me/tiny@fp32'), Path({str(out)!r}), 60_000, step)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / ".out.unfinished").glob("model-*")}
    assert before
    save(runtime, Variant.parse("me/tiny@fp32"), out, 60 * KB, lambda step: None)
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    from safetensors.torch import load_file

    whole = load_file(source / "model.safetensors")
    held = {name: one for file in out.glob("model-*") for name, one in load_file(file).items()}
    assert whole.keys() == held.keys()
    assert all(whole[name].equal(held[name]) for name in whole)


def test_an_index_that_lies_is_found(runtime: Runtime, tmp_path: Path) -> None:
    source, out = Path(runtime.settings.models_dir, "me/tiny"), tmp_path / "out"
    shutil.copytree(source, out)
    (out / "model.safetensors").unlink()
    copy(source, ["model.safetensors"], out, 60 * KB, lambda step: None)
    check_written(out, "out")
    index = out / "model.safetensors.index.json"
    stated: dict[str, Any] = json.loads(index.read_text())
    names = sorted(stated["weight_map"])
    named = stated["weight_map"]
    named[names[0]], named[names[-1]] = named[names[-1]], named[names[0]]
    index.write_text(json.dumps(stated))
    with pytest.raises(CorruptWeights, match="is not where it says"):
        check_written(out, "out")


@pytest.mark.slow
def test_the_command_saves_a_real_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("PADDOCK_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("PADDOCK_HUB_IDS", "1")
    out = tmp_path / "me/packed"
    assert main(["save", "smollm2-135m-instruct@nf4", "--out", str(out), "--max-shard-size", "40MB"]) == 0
    said = []
    for variant in ("smollm2-135m-instruct@nf4", "me/packed@nf4"):
        capsys.readouterr()
        assert main(["complete", "The capital of France", "-v", variant, "--temperature", "0"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert len(list(out.glob("model-*"))) > 2
