"""The llama.cpp process ends with the app even while the library loads, when no thread of Python runs."""

import subprocess
import sys
import time

import pytest

from models.system.processes import ROOT

LOADING = """
import sys, time
from models.engines.llama.child import ended_with_its_input
time.sleep({before})
with ended_with_its_input():
    print("loading", flush=True)
    sum(range({steps}))  # holds Python's lock, as the library does
print("loaded", flush=True)
print(sys.stdin.readline(), flush=True)
"""


def started(before: float, steps: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOADING.format(before=before, steps=steps)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the signal ends a process on Linux only")
def test_in_a_load_it_ends_as_soon_as_its_input_does() -> None:
    with started(0, 10**12) as process:
        assert process.stdout.readline() == "loading\n"
        process.stdin.close()
        began = time.monotonic()
        process.wait(10)
        assert time.monotonic() - began < 1


def test_nor_does_it_load_when_its_input_is_closed_before() -> None:
    with started(0.5, 10**12) as process:
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(10) == 0


def test_after_a_load_a_line_is_read_as_any() -> None:
    with started(0, 1) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["loading\n", "loaded\n"]
        process.stdin.write("a request\n")
        process.stdin.flush()
        assert process.stdout.readline() == "a request\n"
        process.stdin.close()
        assert process.wait(10) == 0
