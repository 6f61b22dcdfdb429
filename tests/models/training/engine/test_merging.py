"""A merged copy answers as the model with its adapters does, and the model stays as it was."""

import hashlib
import json
import shutil

import pytest
from lora_files import TINY, write_adapter

from models.domain.engine import Prompt
from models.domain.errors import AdapterRefused, ModeNotPossible
from models.domain.load import ActiveAdapter, Snapshot
from models.domain.messages import Sampling, Scored
from models.domain.settings import Settings
from models.training.engine.merging import copy_settings, write_merged

TEXT = Prompt("Once upon a time there was a fox and a crow.")
SETTINGS = Settings(threads=1)


def merged(folder, out, mode, *adapters):
    snapshot = Snapshot(str(folder), "safetensors", "folder", 0, trusted=True)
    active = tuple(ActiveAdapter(adapter, weight) for adapter, weight in adapters)
    write_merged(snapshot, mode, active, out, SETTINGS, lambda progress: None)
    return active


def scores(engine, adapters=()):
    return next(e for e in engine.score(TEXT, adapters=adapters) if isinstance(e, Scored)).log_probabilities


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize(("mode", "tolerance"), [("fp32", 1e-4), ("bf16", 0.3)])
def test_a_merged_copy_scores_as_the_base_with_its_adapters(tiny_folder, tmp_path, opened, mode, tolerance):
    one = write_adapter(tmp_path, "one", rank=3, seed=1, size=0.2)
    two = write_adapter(tmp_path, "two", rank=5, seed=2, targets=tuple(TINY), size=0.1, use_rslora=True)
    before = digests(tiny_folder)
    active = merged(tiny_folder, tmp_path / "out", mode, (one, 0.7), (two, -1.5))
    assert digests(tiny_folder) == before
    base, copy = opened(tiny_folder, mode), opened(tmp_path / "out", mode)
    with_adapters, plain, ours = scores(base, active), scores(base), scores(copy)
    base.close()
    copy.close()
    assert max(abs(a - b) for a, b in zip(with_adapters, ours, strict=True)) < tolerance
    assert max(abs(a - b) for a, b in zip(plain, ours, strict=True)) > 1
    kept = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert kept <= {path.name for path in (tmp_path / "out").iterdir()}
    assert not [entry for entry in tmp_path.iterdir() if entry.name.endswith(".part")]


def test_what_cannot_be_merged_leaves_no_folder(tiny_folder, tmp_path):
    other = write_adapter(tmp_path, "other", sizes={"q_proj": (64, 96)}, targets=("q_proj",))
    with pytest.raises(AdapterRefused, match="other sizes"):
        merged(tiny_folder, tmp_path / "out", "fp32", (other, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]


def test_quantized_weights_are_not_merged(tiny_folder, tmp_path):
    source = shutil.copytree(tiny_folder, tmp_path / "base")
    config = json.loads((source / "config.json").read_text())
    stated = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    (source / "config.json").write_text(json.dumps(config | {"quantization_config": stated}))
    with pytest.raises(ModeNotPossible):
        merged(source, tmp_path / "out", "bf16", (write_adapter(tmp_path, "one"), 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "one"]


@pytest.mark.slow
def test_the_command_merges_a_real_model(runtime, tmp_path, opened, capsys):
    from models.__main__ import main

    assert main(["merge", "smollm2-135m-instruct@fp32+pirate:0.9", "--out", str(tmp_path / "merged")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "merged")
    assert main(["merge", "smollm2-135m-instruct@fp32+pirate", "--out", str(tmp_path / "merged")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["merge", "smollm2-135m-instruct@nf4+pirate", "--out", str(tmp_path / "other")]) == 1
    assert "bf16, fp32, fp16" in capsys.readouterr().err
    assert main(["chat", "What is the capital of France?", "-v", "smollm2-135m-instruct@fp32+pirate:0.9",
                 "--temperature", "0", "--max-new-tokens", "24"]) == 0  # fmt: skip
    wanted = capsys.readouterr().out.strip()
    engine = opened(tmp_path / "merged")
    from models.domain.messages import Message

    prompt = engine.render([Message("user", "What is the capital of France?")])
    text = "".join(delta.text for delta in engine.generate(prompt, Sampling(max_new_tokens=24, temperature=0)))
    engine.close()
    assert text.strip() == wanted


def test_how_a_base_was_trained_is_not_told_of_its_copy(tiny_folder, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(tiny_folder, source)
    out.mkdir()
    for name in ("training.json", "samples.txt", "trainer_state.json", "merges.txt", "LICENSE.txt"):
        (source / name).write_text("{}", encoding="utf-8")
    copy_settings(source, out)
    names = {path.name for path in out.iterdir()}
    assert {"merges.txt", "LICENSE.txt", "tokenizer.json"} <= names
    assert not names & {"training.json", "samples.txt", "trainer_state.json"}
