"""Where a process stands among several: what the environment says, and what is said of one that makes no sense."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.domain.errors import BadProcesses
from models.engines.transformers import group
from models.engines.transformers.engine_thread import computed
from models.system.launching import free_port, launch
from models.system.ranks import Place, read_place, share_of_cores, take_place

ROOT = Path(__file__).parents[3]
GOOD = Place(1, 2, 1, 2, "127.0.0.1", 29500).variables()


def test_a_place_is_what_its_variables_say():
    assert read_place({}) is None
    assert read_place({"WORLD_SIZE": "1"}) is None
    assert read_place({"WORLD_SIZE": "1", "RANK": "0"}) is None
    place = Place(9, 16, 1, 8, "first.local", 29500)
    assert read_place(place.variables()) == place
    assert not place.leads
    assert read_place(place.variables() | {"TORCHELASTIC_USE_AGENT_STORE": "True"}).hosted
    bare = {name: place.variables()[name] for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")}
    assert read_place(bare) == Place(9, 16, 9, 16, "first.local", 29500), "all of them on one machine"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"RANK": "2"}, "RANK is 2, and with a WORLD_SIZE of 2 it is at most 1"),
        ({"RANK": "-1"}, "RANK is “-1”, and has to be a whole number"),
        ({"RANK": "one"}, "RANK is “one”"),
        ({"RANK": ""}, "RANK is not set"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is “0”"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is “two”"),
        ({"WORLD_SIZE": "99999"}, "WORLD_SIZE is “99999”"),
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK is “2”, and has to be a whole number, 0 to 1"),
        ({"LOCAL_WORLD_SIZE": "x"}, "LOCAL_WORLD_SIZE is “x”"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT is “http”"),
        ({"MASTER_PORT": "70000"}, "MASTER_PORT is “70000”"),
    ],
)
def test_one_that_makes_no_sense_is_said(changed, words):
    with pytest.raises(BadProcesses, match=words):
        read_place(GOOD | changed)


def test_a_place_is_taken_once_with_its_gpu_and_its_cores():
    env = {**GOOD, "CUDA_VISIBLE_DEVICES": "4, 7", "HOME": "/root"}
    assert take_place(env).rank == 1
    threads = {"PADDOCK_THREADS": str(share_of_cores(2))}
    assert env == {"CUDA_VISIBLE_DEVICES": "7", "HOME": "/root", "TORCH_CPP_LOG_LEVEL": "FATAL", **threads}
    env = {**GOOD, "CUDA_VISIBLE_DEVICES": "4", "PADDOCK_THREADS": "3"}
    take_place(env)
    # The second has no GPU, which is said when they meet.
    assert (env["CUDA_VISIBLE_DEVICES"], env["PADDOCK_THREADS"]) == ("", "3")


def refused(place, words, wait_s=1.0):
    began = time.monotonic()
    with pytest.raises(BadProcesses, match=words):
        group.join(place, "cpu", wait_s, 1)
    assert time.monotonic() - began < 9
    assert group.size() == 1


def test_who_does_not_come_is_named():
    computed(lambda: None, 1, during="while torch is imported")
    port = free_port()
    refused(
        Place(0, 3, 0, 3, "127.0.0.1", port), rf"processes with RANK 1, 2 did not come to 127.0.0.1:{port} within 1 s"
    )
    refused(Place(1, 2, 1, 2, "127.0.0.1", free_port()), "nobody whom process 1 could meet listens at 127.0.0.1")
    refused(Place(1, 2, 1, 2, "no.such.machine.invalid", port), "listens at no.such.machine.invalid")


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(Place(0, 2, 0, 2, "127.0.0.1", port), rf"another program listens at 127.0.0.1:{port}")
        refused(Place(1, 2, 1, 2, "127.0.0.1", port), rf"another program listens at 127.0.0.1:{port}")


def run(*arguments, **env):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "models", *arguments],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr, time.monotonic() - began


def test_a_command_of_one_process_says_so():
    status, said, _ = run("models", **GOOD)
    assert status == 1
    assert "WORLD_SIZE is 2, and this command runs in one process" in said
    status, said, _ = run("finetune", "x", "--data", "y", "--out", "z", "--processes", "3", **GOOD)
    assert status == 1
    assert "--processes is 3, and WORLD_SIZE is 2" in said


FIRST_WAITS = "import os, time; time.sleep(0 if os.environ['RANK'] == '{0}' else 60); raise SystemExit({1})"


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (FIRST_WAITS.format(0, 0), 0, ""),
        (FIRST_WAITS.format(0, 7), 7, ""),
        (
            "import os, signal; os.environ['RANK'] == '0' and os.kill(os.getpid(), signal.SIGKILL)",
            137,
            "Process 1 of 3 was killed",
        ),
        (
            "import os, time; os.environ['RANK'] == '2' or time.sleep(60); raise SystemExit('paddock: no weights')",
            1,
            "Process 3 of 3 ended: no weights;",
        ),
    ],
)
def test_processes_end_together(capfd, code, status, words):
    began = time.monotonic()
    assert launch(3, ["-c", code]) == status
    assert words in capfd.readouterr().err
    assert time.monotonic() - began < 15
