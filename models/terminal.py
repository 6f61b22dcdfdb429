"""Progress for people at a terminal, and for logs, which get a line a stage and every tenth of it."""

from __future__ import annotations

import sys

from .spec.messages import Progress


class ProgressLine:
    """Shows the steps of one load on standard error; call `clear` before anything else is printed."""

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
