"""Answers over several gloo processes: the greedy tokens of one, and what cannot be split is said."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from models.__main__ import main
from tests.conftest import served

ROOT = Path(__file__).parents[3]
GREEDY = ("--temperature", "0", "--max-new-tokens", "24", "--json")


def split(*arguments, starter=(sys.executable, "-m", "models"), last=()):
    done = subprocess.run(
        [*starter, "complete", *arguments, *last],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PADDOCK_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def alone(capsys, *arguments):
    assert main(["complete", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_two_processes_write_what_one_does(tiny_folder, capsys):
    asked = ("Once upon a time", "--variant", f"{tiny_folder}@fp32", *GREEDY)
    one, two = alone(capsys, *asked), split(*asked, last=("--processes", "2"))
    assert two["text"] == one["text"]
    assert (two["usage"]["new_tokens"], two["usage"]["finish"]) == (24, "length")


def test_what_cannot_be_split_is_said(capsys, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main(["complete", "x", "--processes", "3"]) == 1
    assert "--processes is 3, and WORLD_SIZE is 2" in capsys.readouterr().err
    assert "RANK" not in os.environ


@pytest.mark.slow
def test_the_app_serves_a_split_model_and_ends_as_a_whole(tiny_folder, tmp_path, capsys):
    given = {
        "PADDOCK_PROCESSES": "2",
        "PADDOCK_MODEL_FOLDERS": str(tiny_folder),
        "PADDOCK_PRELOAD": "0",
        "PADDOCK_THREADS": "1",
    }
    name = f"local/{tiny_folder.name}@fp32"
    for app in served(tmp_path, **given):
        body = {"model": name, "prompt": "Once upon a time", "max_tokens": 24, "temperature": 0}
        request = urllib.request.Request(
            f"{app.url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        said = json.loads(urllib.request.urlopen(request, timeout=100).read())["choices"][0]["text"]
        ranks = psutil.Process(app.process.pid).children()
        assert len(ranks) == 2
        os.kill(ranks[1].pid, signal.SIGKILL)
        assert app.process.wait(15) == 1
        assert not any(psutil.pid_exists(rank.pid) for rank in ranks)
        assert "Process 2 of 2 was killed" in app.log.read_text()
    asked = ("Once upon a time", "--variant", f"{tiny_folder}@fp32", *GREEDY)
    assert said == alone(capsys, *asked)["text"]


@pytest.mark.slow
def test_a_real_model_over_three_and_under_torchrun(tiny_folder, runtime, capsys):
    asked = ("The capital of France is", "--variant", "smollm2-135m-instruct@fp32", *GREEDY)
    assert split(*asked, last=("--processes", "3"))["text"] == alone(capsys, *asked)["text"]
    drawn = ("Once upon a time", "--variant", f"{tiny_folder}@fp32", "--seed", "5", "--max-new-tokens", "24", "--json")
    torchrun = (str(Path(sys.executable).parent / "torchrun"), "--nproc-per-node", "2", "-m", "models")
    assert shutil.which(torchrun[0])
    assert split(*drawn, starter=torchrun)["text"] == alone(capsys, *drawn)["text"]
