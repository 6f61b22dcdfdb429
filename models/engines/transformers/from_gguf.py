"""GGUF -> safetensors, once: `python -m models.engines.transformers.from_gguf GGUF OUT`, in its own process.

Transformers can load a GGUF on its own, but reads the file's metadata three times in pure Python and keeps nothing:
20 s for a model of 135M parameters at every load. This uses its tables and its tensor processors, in one pass.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...domain.catalog import ModelCard, part_files
from ...domain.errors import CorruptWeights, EngineFailed, OutOfMemory, from_dict
from ...domain.load import Snapshot
from ...domain.messages import Progress
from ...domain.settings import Settings
from ...system.files import read_json, state_of, write_json
from ...system.processes import KILLED, Child
from ..library_errors import translate, without_paths

VERSION = 2  # of the conversion; a higher one makes earlier results stale
MARKER = "paddock-conversion.json"

Report = Callable[[int, int, str], None]


class ConversionCancelled(Exception):
    """The caller did not want the result any more; nothing of it is left."""


def conversion_folder(card: ModelCard, source: Snapshot, settings: Settings) -> Path:
    """Where the conversion of a GGUF snapshot is kept."""
    name, path = f"{card.key}-{Path(source.path).stem}".replace("/", "--"), Path(source.path)
    folder = settings.cache / "converted"
    if source.origin == "package index":
        return folder / name
    # Two files of one name may lie in two places, and must not take turns in one folder.
    place = source.path
    if source.origin == "folder" and path.is_relative_to(settings.models_dir):
        place = str(path.relative_to(settings.models_dir))
    elif card.gguf and source.origin != "folder":
        place = f"{card.gguf.repo}/{card.gguf.file}"
    return folder / f"{name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def is_converted(gguf: Path, out_dir: Path) -> bool:
    """Whether the folder holds a finished conversion of this file, as it is now, by these versions."""
    marker = read_json(out_dir / MARKER)
    try:
        return marker.get("versions") == _versions() and marker.get("state") == state_of(part_files(gguf))
    except OSError:
        return False


def content_of(out_dir: Path) -> str:
    """What tells the content of a conversion from another: that of its source, and how it was made."""
    marker = read_json(out_dir / MARKER)
    return f"{marker.get('sha256', '')} {json.dumps(marker.get('versions', {}), sort_keys=True)}"


def convert(gguf: Path, out_dir: Path, report: Report) -> None:
    """Write OUT with the same values as fp32 safetensors, unless the file was only copied or touched since.

    A caller that comes meanwhile waits and finds it done. Raises CorruptWeights, UnsafeWeights, DiskFull.
    """
    from filelock import FileLock

    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{out_dir}.lock"):
        if is_converted(gguf, out_dir):
            return
        files, known = part_files(gguf), read_json(out_dir / MARKER)
        for file in files:
            if not file.is_file():
                raise CorruptWeights(file=file.name, reason="it is missing")
        total = sum(file.stat().st_size for file in files)
        found = {"state": state_of(files), "source": {"file": gguf.name, "bytes": total}}
        report(0, 0, "reading the file")
        found["sha256"] = _sha256(files)
        if known.get("versions") == _versions() and known.get("sha256") == found["sha256"]:
            write_json(out_dir / MARKER, known | found)
            return
        _write(gguf, out_dir, found, report)


def _write(gguf: Path, out_dir: Path, found: dict[str, Any], report: Report) -> None:
    from .gguf_weights import write_model

    for leftover in out_dir.parent.glob(f".{out_dir.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = out_dir.with_name(f".{out_dir.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        write_model(gguf, partial, report)
        if state_of(part_files(gguf)) != found["state"]:
            raise CorruptWeights(file=gguf.name, reason="it was replaced while it was read")
        write_json(partial / MARKER, found | {"versions": _versions()})
        if out_dir.exists():
            shutil.rmtree(out_dir)
        os.replace(partial, out_dir)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _versions() -> dict[str, Any]:
    from importlib.metadata import version

    return {"conversion": VERSION, "transformers": version("transformers"), "gguf": version("gguf")}


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as source:
            hashlib.file_digest(source, lambda: digest)
    return digest.hexdigest()


def convert_in_subprocess(
    gguf: Path, out_dir: Path, on_progress: Callable[[Progress], None], cancelled: Callable[[], bool]
) -> None:
    """Convert unless it was done before; `cancelled` is asked several times a second.

    Raises ConversionCancelled, OutOfMemory, DiskFull, CorruptWeights, UnsafeWeights, EngineFailed.
    """
    if is_converted(gguf, out_dir):
        return

    def tick() -> None:
        if cancelled():
            raise ConversionCancelled

    with Child("-m", "models.engines.transformers.from_gguf", str(gguf.absolute()), str(out_dir.absolute())) as child:
        try:
            for event in child.watch(tick):
                if "error" in event:
                    raise from_dict(event["error"])
                on_progress(Progress("convert", event["done"], event["total"], "tensors", event["detail"]))
            ended = child.end()
        except BaseException:
            child.kill()
            shutil.rmtree(out_dir.with_name(f".{out_dir.name}.partial-{child.pid}"), ignore_errors=True)
            raise
    if ended.status in KILLED:
        raise OutOfMemory(during="while converting the model")
    if ended.status != 0:
        words = without_paths(ended.last_line[:200])
        raise EngineFailed(detail=words or f"it ended with status {ended.status}")


def main(arguments: list[str]) -> int:
    """Convert, with one JSON object a line on standard output: progress, or at last an error."""
    if len(arguments) != 2:
        print("usage: python -m models.engines.transformers.from_gguf GGUF OUT", file=sys.stderr)
        return 2

    def report(done: int, total: int, detail: str) -> None:
        print(json.dumps({"done": done, "total": total, "detail": detail}), flush=True)

    try:
        convert(Path(arguments[0]), Path(arguments[1]), report)
    except Exception as error:
        print(json.dumps({"error": translate(error, "while converting the model").to_dict()}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
