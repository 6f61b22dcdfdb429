"""Finetuning over two gloo processes against one: the adapter, one that is killed, going on with another number."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from models.__main__ import main

ROOT = Path(__file__).parents[3]
WORDS = ["fox", "crow", "tags", "time", "once", "upon", "was", "there", "and", "naive"]
# Of twelve rows the last batch of an epoch has two, and the last step one batch.
OPTIONS = ("--rank", "4", "--epochs", "2", "--batch", "5", "--accumulate", "2", "--max-tokens", "128")
FAST = ("--learning-rate", "2e-2")
LONG = (*FAST, "--epochs", "20")  # so that one is interrupted before it has ended
MARKS = "checkpoints/checkpoint-*/paddock-training.json"
MATRICES, REPORT = "adapter_model.safetensors", "training.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rows of unequal lengths."""
    file = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [{"prompt": f"say {word}", "completion": " ".join([word] * (1 + n % 3))} for n, word in enumerate(WORDS * 2)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[:13]))
    return file


def arguments(folder, mode, data, out, *options):
    return ["finetune", f"{folder}@{mode}", "--data", str(data), "--out", str(out), *OPTIONS, *options]


def together(*given, processes="2"):
    """The command in several processes, just started."""
    return subprocess.Popen(
        [sys.executable, "-m", "models", *arguments(*given), "--processes", processes],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PADDOCK_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs the tests in the background has not
    )


def finished(*given):
    process = together(*given)
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output


def read(out):
    return load_file(out / MATRICES), json.loads((out / REPORT).read_text())


def read_until(process, out):
    """The processes of a training, once its first epoch is kept."""
    assert any("epoch 1 of 20:" in line for line in process.stdout)
    until = time.monotonic() + 20
    while not list(out.glob(MARKS)):
        assert time.monotonic() < until
        time.sleep(0.01)
    return psutil.Process(process.pid).children()


@pytest.fixture(scope="module")
def whole(tiny_folder, data, tmp_path_factory):
    """What two processes made, uninterrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    finished(tiny_folder, "fp32", data, out, *FAST)
    return out


@pytest.fixture(scope="module")
def long_whole(tiny_folder, data, tmp_path_factory):
    """The same over more epochs."""
    out = tmp_path_factory.mktemp("long") / "out"
    finished(tiny_folder, "fp32", data, out, *LONG)
    return out


def assert_alike(one, two, places=1):
    """Adapters that are so many of the last places of bf16 apart at most."""
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name].float(), two[name].float(), rtol=places * 2**-7, atol=2e-4)


def test_two_processes_learn_what_one_does(tiny_folder, data, whole, tmp_path):
    assert main(arguments(tiny_folder, "fp32", data, tmp_path / "one", *FAST)) == 0
    (one, alone), (two, both) = read(tmp_path / "one"), read(whole)
    assert_alike(one, two)
    assert (alone["processes"], both["processes"]) == (1, 2)
    assert both["before"] == pytest.approx(alone["before"], abs=1e-5)
    for mine, theirs in zip(both["epochs"], alone["epochs"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)
    assert both["after"] < both["before"] - 0.2
    assert both["settings"] == alone["settings"]


@pytest.mark.slow
def test_one_that_is_killed_ends_all_and_any_number_goes_on(tiny_folder, data, long_whole, tmp_path):
    out = tmp_path / "out"
    process = together(tiny_folder, "fp32", data, out, *LONG, "--json")
    ranks = read_until(process, out)
    os.kill(ranks[1].pid, signal.SIGKILL)
    began = time.monotonic()
    said = process.communicate(timeout=60)[0]
    assert time.monotonic() - began < 10
    assert process.returncode == 1, said
    assert "Another of the 2 processes ended" in said
    assert "Process 2 of 2 was killed" in said
    assert not psutil.pid_exists(ranks[0].pid)
    assert list(out.glob(MARKS))
    assert [path.name for path in out.iterdir()] == ["checkpoints"]

    assert main(arguments(tiny_folder, "fp32", data, out, *LONG)) == 0
    matrices, report = read(out)
    assert (report["resumed"], report["processes"]) == (True, 1)
    assert_alike(matrices, read(long_whole)[0])


@pytest.mark.slow
def test_an_interrupt_leaves_off_in_order_and_the_same_number_ends_with_the_same_bytes(
    tiny_folder, data, long_whole, tmp_path
):
    out = tmp_path / "out"
    process = together(tiny_folder, "fp32", data, out, *LONG)
    ranks = read_until(process, out)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "goes on after the last whole epoch" in said
    assert not any(psutil.pid_exists(rank.pid) for rank in ranks)
    finished(tiny_folder, "fp32", data, out, *LONG)
    assert read(out)[1]["resumed"]
    assert (out / MATRICES).read_bytes() == (long_whole / MATRICES).read_bytes()


@pytest.mark.slow
def test_two_copies_in_two_parts_each_learn_the_same(tiny_folder, data, whole, tmp_path):
    process = together(tiny_folder, "fp32", data, tmp_path / "out", *FAST, "--copies", "2", processes="4")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert "1/2 of the base" in output
    matrices, report = read(tmp_path / "out")
    assert report["processes"] == 4
    assert_alike(matrices, read(whole)[0])


@pytest.mark.slow
def test_on_top_of_another_adapter_too(tiny_folder, data, whole, tmp_path):
    on = ["--on", f"{tiny_folder}@fp32+{whole.name}"]
    env = {"PADDOCK_ADAPTERS_DIR": str(whole.parent)}
    for name, more in (("one", []), ("two", ["--processes", "2"])):
        command = ["-m", "models", "finetune", *on, "--data", str(data), "--out", str(tmp_path / name), *OPTIONS, *FAST]
        done = subprocess.run(
            [sys.executable, *command, *more], cwd=ROOT, env=os.environ | env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    (one, alone), (two, both) = read(tmp_path / "one"), read(tmp_path / "two")
    assert alone["on"] == both["on"] == ["out"]
    assert_alike(one, two, places=2)


@pytest.mark.slow
def test_on_four_bits_too(tiny_folder, data, tmp_path):
    assert main(arguments(tiny_folder, "nf4", data, tmp_path / "one")) == 0
    finished(tiny_folder, "nf4", data, tmp_path / "two")
    (one, alone), (two, both) = read(tmp_path / "one"), read(tmp_path / "two")
    assert_alike(one, two)
    assert both["after"] == pytest.approx(alone["after"], abs=1e-3)  # computed in bf16, three rows and five


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["2"])
def test_all_weights_too(tiny_folder, data, tmp_path, processes):
    full = ("--method", "full", "--learning-rate", "1e-3", "--patience", "1")
    assert main(arguments(tiny_folder, "fp32", data, tmp_path / "one", *full)) == 0
    finished(tiny_folder, "fp32", data, tmp_path / "two", *full)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert_alike(one, two)
    base = load_file(tiny_folder / "model.safetensors")
    assert max((one[name].float() - base[name].float()).abs().max() for name in one) > 1e-3
    alone, both = (json.loads((tmp_path / name / REPORT).read_text()) for name in ("one", "two"))
    assert both["after"] == pytest.approx(alone["after"], abs=1e-3)
    assert both["trained_parameters"] == alone["trained_parameters"]
    stated = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("one", "two")]
    assert stated[0] == stated[1]
    assert stated[0]["dtype"] == "bfloat16"
