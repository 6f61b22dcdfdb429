"""The folder that a finetuning writes: what it may hold before, the checkpoint to go on from, what it holds at last."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..domain.errors import BadOutputFolder, DiskFull
from ..domain.training import TrainingReport, difference
from ..domain.units import size
from ..system.durable import write_text
from ..weights.adapters.places import REPORT
from .alone import LOCK, alone
from .engine.methods import CONFIG, MATRICES, METHODS, Method
from .engine.training import BEST, FINISH, MARK

CHECKPOINTS = "checkpoints"
_OURS = (CONFIG, MATRICES, REPORT, CHECKPOINTS)


def check_folder(out: Path, overwrite: bool, method: Method) -> None:
    """Raise BadOutputFolder where `out` holds what would be lost."""
    if out.exists() and not out.is_dir():
        raise BadOutputFolder(folder=out.name, reason="it is a file", suggestion="Name a folder with --out.")
    held = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    if held and not any(name in _OURS for name in held):
        reason = f"it holds other files, like {held[0][:60]}"
        raise BadOutputFolder(folder=out.name, reason=reason, suggestion="Name a new or empty folder with --out.")
    other = next((each for each in METHODS.values() if each.mark in held and each is not method), None)
    if other:
        reason = f"it holds a finished {other.what}"
        raise BadOutputFolder(folder=out.name, reason=reason, suggestion="Name another folder with --out.")
    # A run that was ended while it put its files in place, which ends with the report, may go on.
    half_delivered = (out / CHECKPOINTS).is_dir() and REPORT not in held
    if any(name in (method.mark, MATRICES, REPORT) for name in held) and not overwrite and not half_delivered:
        raise BadOutputFolder(
            folder=out.name,
            reason=f"it holds a finished {method.what}",
            suggestion="Name another folder with --out, or replace it with --overwrite.",
        )


def checkpoint_of(out: Path, made_with: dict[str, Any], overwrite: bool) -> Path | None:
    """The checkpoint to go on from; one of another training is refused, or with `overwrite` deleted."""
    folder = out / CHECKPOINTS
    marks = sorted(folder.glob(f"checkpoint-*/{MARK}"), key=lambda mark: mark.stat().st_mtime)
    for mark in reversed(marks):
        try:
            other = difference(json.loads(mark.read_text(encoding="utf-8")), made_with)
        except (OSError, ValueError):
            continue
        if not other:
            return mark.parent
        if not overwrite:
            raise BadOutputFolder(
                folder=out.name,
                reason=f"it holds the checkpoint of another training ({other})",
                suggestion="Run that training's command to go on with it, name another folder with --out, "
                "or begin anew with --overwrite.",
            )
    return None


@contextmanager
def begun(out: Path, needed: int, resume: Path | None) -> Iterator[Path]:
    """A new folder in `out` for what is learned, alone there; where nothing is gone on with, what was left is deleted.

    Raises BadOutputFolder, and DiskFull below `needed` free bytes.
    """
    folder = out / CHECKPOINTS
    reason = "another process trains there"
    busy = BadOutputFolder(folder=out.name, reason=reason, suggestion="Wait, or name another --out.")
    with ExitStack() as held:
        try:
            held.enter_context(alone(folder, busy))
        except OSError as error:
            reason = f"it cannot be made ({error.strerror})"
            suggestion = "Name another folder with --out."
            raise BadOutputFolder(folder=out.name, reason=reason, suggestion=suggestion) from None
        _clear(folder, (LOCK,) if resume is None else (LOCK, BEST, FINISH, resume.name))
        made = folder / "made"
        made.mkdir()
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise DiskFull(file="a checkpoint", needed=size(needed), free=size(free), folder=out.name)
        yield made


def _clear(folder: Path, kept: Collection[str]) -> None:
    for entry in folder.iterdir():
        if entry.name not in kept:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def deliver(made: Path, out: Path, report: TrainingReport) -> None:
    """Put the finished files in place of any earlier ones, the report last, and delete the checkpoints."""
    (out / REPORT).unlink(missing_ok=True)
    for earlier in out.glob("model*.safetensors*"):  # in other pieces, perhaps
        earlier.unlink()
    for file in sorted(made.iterdir()):
        if (out / file.name).is_dir():
            shutil.rmtree(out / file.name)
        os.replace(file, out / file.name)
    write_text(out / REPORT, json.dumps(asdict(report), indent=2) + "\n")
    shutil.rmtree(out / CHECKPOINTS)
