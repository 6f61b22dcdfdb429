"""What was forked from a process ends with it at SIGTERM, whatever it is doing."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from models.system.processes import ROOT

APP = """
import multiprocessing, signal, threading, time
from models.system.launching import end_forks_too
end_forks_too()
forked = multiprocessing.get_context("fork").Process(target=sum, args=(range(10**12),), daemon=True)
starter = threading.Thread(target=forked.start)  # as a press does
starter.start()
starter.join()
print(forked.pid, flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_sigterm_ends_what_was_forked_and_then_the_process_itself() -> None:
    with subprocess.Popen([sys.executable, "-c", APP], cwd=ROOT, stdout=subprocess.PIPE, text=True) as app:
        forked = int(app.stdout.readline())
        assert is_alive(forked)
        began = time.monotonic()
        app.terminate()
        assert app.wait(10) == -signal.SIGTERM
        while is_alive(forked):
            assert time.monotonic() - began < 2
            time.sleep(0.01)
