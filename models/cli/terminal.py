"""What a command reads and shows: standard input and files as text, progress for people and for logs."""

from __future__ import annotations

import argparse
import sys
import time
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..domain import units
from ..domain.errors import NotUtf8
from ..domain.messages import Progress
from ..domain.units import size
from ..system.encodings import decoded

STDIN = "-"  # as the name of a text
PACE_S = 0.5  # between two looks at how much has come; the pace is that of the last 25 seconds


def read_text(given: str) -> str:
    """A text that was given as an argument, or standard input for `-`; raises NotUtf8."""
    if given != STDIN:
        return given
    buffer = getattr(sys.stdin, "buffer", None)
    return decoded(buffer.read(), *_stdin()) if buffer else sys.stdin.read()


def read_file(name: str) -> str:
    """The text of a file, or standard input for `-`; raises NotUtf8 and OSError."""
    return read_text(name) if name == STDIN else decoded(Path(name).read_bytes(), name)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def lines(prompt: str) -> Iterator[str]:
    """Standard input line by line, as each comes, without its line end; at a terminal after a prompt."""
    if not sys.stdin.isatty():
        for number, line in enumerate(sys.stdin.buffer):
            mark = "\ufeff" if number and line.startswith(BOM_UTF8) else ""  # no text at the very beginning only
            yield mark + decoded(line, *_stdin()).removesuffix("\n")
        return
    while True:
        try:
            yield input(prompt)
        except EOFError:
            return
        except UnicodeDecodeError:
            raise NotUtf8(name=_stdin()[0]) from None


def _stdin() -> tuple[str, str]:
    return "Standard input", sys.stdin.encoding or ""


class ProgressLine:
    """Shows the steps of one load on standard error: at a terminal one line, in a log one a stage and tenth of it.

    Call `clear` before anything else is printed.
    """

    def __init__(self) -> None:
        self._shown = ""
        self._seen: deque[tuple[float, float]] = deque(maxlen=50)  # when so many bytes had come, of the last seconds

    def show(self, step: Progress) -> None:
        """One more step."""
        tenths = int(10 * step.done / step.total) if step.total else 0
        pace = self._pace(step) if step.unit == "bytes" and step.total else ""
        if sys.stderr.isatty():
            bar = f"[{'#' * tenths}{'.' * (10 - tenths)}] " if step.total else ""
            print(f"\r\033[K{step.stage} {bar}{step.detail}{pace}", end="", file=sys.stderr, flush=True)
            return
        line = f"{step.stage} {step.detail}" + (f" {10 * tenths}%" if step.total else "")
        if line != self._shown and step.stage in ("download", "convert"):
            print(line + pace, file=sys.stderr, flush=True)
        self._shown = line

    def _pace(self, step: Progress) -> str:
        """How much of what is here, how fast it comes, and how long the rest takes at that."""
        now, seen = time.monotonic(), self._seen
        if seen and step.done < seen[-1][1]:
            seen.clear()  # of another file
        if not seen or now - seen[-1][0] >= PACE_S:
            seen.append((now, step.done))
        text = f" · {size(step.done)} of {size(step.total)}"
        took, came = now - seen[0][0], step.done - seen[0][1]
        if took < PACE_S or came <= 0:
            return text
        left = (step.total - step.done) * took / came
        return f"{text} · {size(came / took)}/s · {_duration(left)} left"

    def clear(self) -> None:
        """Take the line away."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def add_shard_size(command: argparse.ArgumentParser) -> None:
    """Add --max-shard-size, in bytes."""
    command.add_argument(
        "--max-shard-size", type=byte_count, default="5GB", metavar="SIZE", help="of a file of weights (%(default)s)"
    )


def byte_count(text: str) -> int:
    """A size such as 500MB or 2GB; raises argparse.ArgumentTypeError."""
    try:
        return units.byte_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
