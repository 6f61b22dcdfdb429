"""What a command reads and shows: standard input and files as text, progress for people and for logs."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from ..domain.errors import NotUtf8
from ..domain.messages import Progress
from ..system.encodings import decoded

STDIN = "-"  # as the name of a text


def read_text(given: str) -> str:
    """A text that was given as an argument, or standard input for `-`; raises NotUtf8."""
    if given != STDIN:
        return given
    buffer = getattr(sys.stdin, "buffer", None)
    return decoded(buffer.read(), *_stdin()) if buffer else sys.stdin.read()


def read_file(name: str) -> str:
    """The text of a file, or standard input for `-`; raises NotUtf8 and OSError."""
    return read_text(name) if name == STDIN else decoded(Path(name).read_bytes(), name)


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

    def show(self, step: Progress) -> None:
        """One more step."""
        tenths = int(10 * step.done / step.total) if step.total else 0
        if sys.stderr.isatty():
            bar = f"[{'#' * tenths}{'.' * (10 - tenths)}] " if step.total else ""
            print(f"\r\033[K{step.stage} {bar}{step.detail}", end="", file=sys.stderr, flush=True)
            return
        line = f"{step.stage} {step.detail}" + (f" {10 * tenths}%" if step.total else "")
        if line != self._shown and step.stage in ("download", "convert"):
            print(line, file=sys.stderr, flush=True)
        self._shown = line

    def clear(self) -> None:
        """Take the line away."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
