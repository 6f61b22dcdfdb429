"""GGUF to safetensors: exact, once, stoppable, and honest about damage."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.domain.errors import CorruptWeights, DiskFull, EngineFailed, OutOfMemory, UnsafeWeights
from models.engines.transformers import from_gguf as conversion
from models.engines.transformers.engine_thread import engine_thread
from models.engines.transformers.from_gguf import MARKER, ConversionCancelled, convert_in_subprocess, is_converted

ROOT = Path(__file__).resolve().parents[4]
TRICKY = [
    "Hello world",
    "In 2024 I had 1234567 things, ½ or १२३",
    "  two  spaces   three\n\n\nnewlines\t tab\r\n",
    "don't I'll we've naïve Straße",
    "😀🎉漢字👩‍👩‍👧‍👦",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "def f(x):\n    return x**2  # 3.14e-10",
    "",
    "   ",
    "A\u00a0B\u200b",
]


def never():
    return False


def nothing(progress):
    return None


@pytest.mark.slow
def test_every_tensor_is_exactly_the_dequantized_one(smollm2_gguf, smollm2_folder):
    def work():
        import gguf
        import numpy
        from safetensors import safe_open

        reader = gguf.GGUFReader(smollm2_gguf)
        stored = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
        with safe_open(smollm2_folder / "model.safetensors", "np") as file:
            assert len(list(file.keys())) == len(stored) == 272
            for ours, theirs in (
                ("model.embed_tokens.weight", "token_embd.weight"),
                ("model.norm.weight", "output_norm.weight"),
                ("model.layers.7.mlp.down_proj.weight", "blk.7.ffn_down.weight"),
                ("model.layers.29.self_attn.v_proj.weight", "blk.29.attn_v.weight"),
            ):
                numpy.testing.assert_array_equal(file.get_tensor(ours), stored[theirs])
            # llama.cpp interleaves the halves of each head that are rotated against each other
            rotated = stored["blk.3.attn_q.weight"].reshape(9, 32, 2, 576).swapaxes(1, 2).reshape(576, 576)
            numpy.testing.assert_array_equal(file.get_tensor("model.layers.3.self_attn.q_proj.weight"), rotated)

    engine_thread().run(work)


BY_LLAMA_CPP = """
import json, sys, urllib.request, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.verbosity, params.api_keys = sys.argv[1], 256, -1, ["key"]
server = xllamacpp.Server(params)
address = server.listening_address + "/tokenize"
for text in json.loads(sys.argv[2]):
    body = json.dumps({"content": text, "add_special": True, "parse_special": True}).encode()
    request = urllib.request.Request(address, body, {"Authorization": "Bearer key", "Content-Type": "application/json"})
    print("tokens", json.load(urllib.request.urlopen(request))["tokens"], flush=True)
"""  # in a process of its own, because its threads would slow the other tests down


def test_texts_are_tokenized_as_llama_cpp_does(smollm2_gguf, smollm2):
    pytest.importorskip("xllamacpp")
    command = [sys.executable, "-c", BY_LLAMA_CPP, str(smollm2_gguf), json.dumps(TRICKY)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    expected = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("tokens ")]
    tokenizer = smollm2._loaded.tokenizer
    assert [tokenizer(text)["input_ids"] for text in TRICKY] == expected


def test_a_second_call_finds_it_done(smollm2_gguf, smollm2_folder):
    assert is_converted(smollm2_gguf, smollm2_folder)
    seen = []
    started = time.process_time()
    convert_in_subprocess(smollm2_gguf, smollm2_folder, seen.append, never)
    assert not seen
    assert time.process_time() - started < 0.5
    marker = json.loads((smollm2_folder / MARKER).read_text())
    assert marker["source"] == {"file": smollm2_gguf.name, "bytes": smollm2_gguf.stat().st_size}
    assert len(marker["sha256"]) == 64


def test_other_versions_make_it_stale(smollm2_gguf, smollm2_folder, monkeypatch):
    monkeypatch.setattr(conversion, "VERSION", conversion.VERSION + 1)
    assert not is_converted(smollm2_gguf, smollm2_folder)


@pytest.mark.slow
def test_two_callers_at_once_give_one_conversion(smollm2_gguf, tmp_path):
    seen = {"a": [], "b": []}
    callers = [
        threading.Thread(target=convert_in_subprocess, args=(smollm2_gguf, tmp_path / "out", seen[name].append, never))
        for name in seen
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert is_converted(smollm2_gguf, tmp_path / "out")
    worked = [progress for progress in seen.values() if progress]
    assert len(worked) == 1
    tensors = [progress.done for progress in worked[0] if progress.done]
    assert tensors == list(range(1, 273))
    assert {(progress.stage, progress.unit) for progress in worked[0]} == {("convert", "tensors")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.lock"]


@pytest.mark.slow
def test_cancelling_ends_the_process_and_leaves_nothing(smollm2_gguf, tmp_path):
    seen = []
    with pytest.raises(ConversionCancelled):
        convert_in_subprocess(smollm2_gguf, tmp_path / "out", seen.append, lambda: len(seen) > 5)
    assert [path.name for path in tmp_path.iterdir()] == ["out.lock"]


def test_a_process_killed_by_the_kernel_is_out_of_memory(smollm2_gguf, tmp_path):
    def kill(progress):
        for partial in tmp_path.glob(".out.partial-*"):
            os.kill(int(partial.name.rpartition("-")[2]), signal.SIGKILL)

    with pytest.raises(OutOfMemory):
        convert_in_subprocess(smollm2_gguf, tmp_path / "out", kill, never)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("begin", "reason"), [(b"GGUF", "it is shorter than its header says"), (b"ZIP!", "it is not a GGUF file")]
)
def test_damage_is_told(smollm2_gguf, tmp_path, begin, reason):
    file = tmp_path / "damaged.gguf"
    file.write_bytes(begin + smollm2_gguf.read_bytes()[4:3_000_000])
    with pytest.raises(CorruptWeights, match=reason) as caught:
        convert_in_subprocess(file, tmp_path / "out", nothing, never)
    assert str(tmp_path) not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_unknown_architecture_is_refused():
    from models.engines.transformers.gguf_weights import config_values

    for metadata in ({"general.architecture": "mamba"}, {"general.architecture": "llama", "llama.expert_count": 8}):
        with pytest.raises(UnsafeWeights):
            engine_thread().run(lambda metadata=metadata: config_values(metadata, []))


def test_a_full_disk_is_told_before_writing(smollm2_gguf, tmp_path, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")(10**9, 10**9, 10**6)
    monkeypatch.setattr("models.engines.transformers.gguf_weights.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DiskFull) as caught:
        engine_thread().run(lambda: conversion.convert(smollm2_gguf, tmp_path / "out", lambda *step: None))
    assert caught.value.facts["needed"] == "538 MB"
    assert [path.name for path in tmp_path.iterdir()] == ["out.lock"]


def test_a_failure_without_words_is_still_an_error(smollm2_gguf, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EngineFailed):
        convert_in_subprocess(smollm2_gguf, tmp_path / "out", nothing, never)


def test_the_command_line_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "models.engines.transformers.from_gguf"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "usage" in done.stderr
