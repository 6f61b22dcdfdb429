"""Becomes the command of a training, as the page starts it: `python -m models.training.runs.begin NICE ARGUMENTS`.

It gives way to whoever chats on this machine, and ends on SIGINT also where the app was started to ignore that.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path


def main() -> None:
    """Replace this process."""
    nice, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.nice(int(nice))
    with suppress(OSError):  # Linux weighs sessions before it weighs the processes in each of them
        Path("/proc/self/autogroup").write_text(nice, encoding="ascii")
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main()
