"""GGUF -> safetensors, once: `python -m models.engines.conversion GGUF OUT`, in a process whose memory goes with it.

Transformers can load a GGUF by itself, but reads the file's metadata three times in pure Python and keeps nothing:
20 s for a model of 135M parameters at every load. This uses its tables and its tensor processors, in one pass.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ..spec.errors import EngineFailed, OutOfMemory, PaddockError, from_dict
from ..spec.messages import Progress
from .faults import translate, without_paths

VERSION = 1  # of the conversion; a higher one makes earlier results stale
MARKER = "paddock-conversion.json"
_POLL_SECONDS = 0.1
_KILLED = (-9, 137)  # how a process ends that the kernel ended for its memory

Report = Callable[[int, int, str], None]


class ConversionCancelled(Exception):
    """The caller did not want the result any more; nothing of it is left."""


def is_converted(gguf: Path, out_dir: Path) -> bool:
    """Whether the folder holds a finished conversion of this file by these versions."""
    try:
        marker = json.loads((out_dir / MARKER).read_text(encoding="utf-8"))
        return {key: marker.get(key) for key in ("source", "versions")} == _identity(gguf)
    except (OSError, ValueError):
        return False


def _identity(gguf: Path) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "source": {"file": gguf.name, "bytes": gguf.stat().st_size},
        "versions": {"conversion": VERSION, "transformers": version("transformers"), "gguf": version("gguf")},
    }


def convert(gguf: Path, out_dir: Path, report: Report) -> None:
    """Write OUT with the same values as fp32 safetensors; a caller that comes meanwhile waits and finds it done.

    Raises CorruptWeights, UnsafeWeights (an architecture without a conversion), DiskFull.
    """
    from filelock import FileLock

    from .gguf_weights import write_model

    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{out_dir}.lock"):
        if is_converted(gguf, out_dir):
            return
        _remove_partial(out_dir)
        partial = out_dir.with_name(f".{out_dir.name}.partial-{os.getpid()}")
        partial.mkdir()
        try:
            digest = write_model(gguf, partial, report)
            marker = _identity(gguf) | {"sha256": digest}
            (partial / MARKER).write_text(json.dumps(marker, indent=2), encoding="utf-8")
            if out_dir.exists():
                shutil.rmtree(out_dir)
            os.replace(partial, out_dir)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _remove_partial(out_dir: Path) -> None:
    for leftover in out_dir.parent.glob(f".{out_dir.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def convert_in_subprocess(
    gguf: Path, out_dir: Path, on_progress: Callable[[Progress], None], cancelled: Callable[[], bool]
) -> None:
    """Convert unless it was done before; `cancelled` is asked several times a second.

    Raises ConversionCancelled, OutOfMemory, DiskFull, CorruptWeights, UnsafeWeights, EngineFailed.
    """
    if is_converted(gguf, out_dir):
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "models.engines.conversion", str(gguf.resolve()), str(out_dir.resolve())],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        _relay(process, on_progress, cancelled)
    except BaseException:
        process.kill()
        process.wait()
        shutil.rmtree(out_dir.with_name(f".{out_dir.name}.partial-{process.pid}"), ignore_errors=True)
        raise


def _relay(
    process: subprocess.Popen[str], on_progress: Callable[[Progress], None], cancelled: Callable[[], bool]
) -> None:
    lines: SimpleQueue[str | None] = SimpleQueue()
    complaints: list[str] = []
    readers = [
        threading.Thread(target=_read_lines, args=(process.stdout, lines.put), daemon=True),
        threading.Thread(target=_read_lines, args=(process.stderr, complaints.append), daemon=True),
    ]
    for reader in readers:
        reader.start()
    while True:
        if cancelled():
            raise ConversionCancelled
        try:
            line = lines.get(timeout=_POLL_SECONDS)
        except Empty:
            continue
        if line is None:
            break
        _handle(json.loads(line), on_progress)
    status = process.wait()
    readers[1].join()
    if status in _KILLED:
        raise OutOfMemory(during="while converting the model")
    if status != 0:
        words = [line for line in complaints if line and line.strip()]
        raise EngineFailed(detail=without_paths(words[-1].strip()[:200]) if words else f"it ended with status {status}")


def _read_lines(pipe: Any, put: Callable[[Any], None]) -> None:
    with pipe:
        for line in pipe:
            put(line)
    put(None)


def _handle(event: dict[str, Any], on_progress: Callable[[Progress], None]) -> None:
    if "error" in event:
        raise from_dict(event["error"])
    on_progress(Progress("convert", event["done"], event["total"], "tensors", event["detail"]))


def main(arguments: list[str]) -> int:
    """Convert, with one JSON object a line on standard output: progress, or at last an error."""
    if len(arguments) != 2:
        print("usage: python -m models.engines.conversion GGUF OUT", file=sys.stderr)
        return 2

    def report(done: int, total: int, detail: str) -> None:
        print(json.dumps({"done": done, "total": total, "detail": detail}), flush=True)

    try:
        convert(Path(arguments[0]), Path(arguments[1]), report)
    except Exception as error:
        fault: PaddockError = translate(error, "while converting the model")
        print(json.dumps({"error": fault.to_dict()}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
