"""What lies on the disk is listed and removed by its name, never while it is used; a budget holds."""

from __future__ import annotations

import json
import mmap
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock
from huggingface_hub import constants

from models.__main__ import main
from models.domain.errors import DiskBudget, KeptInUse, NotKept
from models.domain.settings import Settings
from models.weights.kept import kept, make_room, remove, used

MB = 1_000_000
UPLOAD = "mine-" + "abcdefgh" * 3


def put(path: Path, size: int, hours: float) -> Path:
    """A file of so many bytes, as old as that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - 3600 * hours,) * 2)
    return path


@pytest.fixture
def disk(tmp_path: Path, settings: Settings) -> Settings:
    """Two conversions, a package's file, an upload, a repository, of different ages."""
    cache = tmp_path / "cache"
    put(cache / "converted/old/model.safetensors", 3 * MB, 50)
    put(cache / "converted/newer/model.safetensors", 2 * MB, 5)
    put(cache / "wheels/tiny/tiny.gguf", MB, 90)
    put(cache / "rows/them--rows/100.jsonl", MB // 4, 10)
    put(cache / f"uploads/{UPLOAD}/adapter_model.safetensors", MB, 200)
    put(tmp_path / "hub/models--them--it/blobs/abc", 4 * MB, 300)
    (tmp_path / "hub/models--them--it/snapshots/1").mkdir(parents=True)
    (tmp_path / "hub/models--them--it/snapshots/1/model.safetensors").symlink_to("../../blobs/abc")
    put(tmp_path / "adapters/mine/checkpoints/checkpoint-3/optimizer.pt", MB // 2, 20)
    return Settings(cache_dir=str(cache), adapters_dir=str(tmp_path / "adapters"), disk_gb=0.01025)


def names(settings: Settings) -> list[str]:
    return [each.name for each in kept(settings)]


def test_all_is_listed_with_sizes_and_last_use(disk: Settings) -> None:
    found = {each.name: each for each in kept(disk)}
    upload = next(name for name in found if name.startswith("uploads/"))
    assert UPLOAD not in "".join(found)
    assert {name: each.bytes for name, each in found.items()} == {
        "hub/them/it": 4 * MB,  # the link is not counted again
        "converted/old": 3 * MB,
        "converted/newer": 2 * MB,
        "wheels/tiny": MB,
        upload: MB,
        "checkpoints/mine": MB // 2,
        "rows/them--rows": MB // 4,
    }
    assert not any(each.in_use for each in found.values())
    assert found["converted/old"].used == pytest.approx(time.time() - 50 * 3600, abs=60)
    used(disk, disk.cache / "converted/old")
    assert next(each.used for each in kept(disk) if each.name == "converted/old") > time.time() - 60


def test_what_is_in_use_stays(disk: Settings) -> None:
    file = disk.cache / "converted/old/model.safetensors"
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ):
        opened.close()  # as torch and llama.cpp have it: mapped, and no longer open
        with pytest.raises(KeptInUse):
            remove(disk, "converted/old")
    with FileLock(disk.cache / "converted/newer.lock"), pytest.raises(KeptInUse):
        remove(disk, "converted/newer")
    with pytest.raises(NotKept):
        remove(disk, "converted/../../etc")
    remove(disk, "converted/old")
    assert names(disk)[:2] == ["hub/them/it", "converted/newer"]
    assert not [path for path in file.parents[1].iterdir() if path.is_dir() and path.name != "newer"]


def test_a_budget_removes_the_least_used_conversions_first(disk: Settings, tmp_path: Path) -> None:
    nowhere = tmp_path / "x"
    assert make_room(disk, 3 * MB, "it", nowhere) == []  # 7.25 of 10.25 MB are taken: the Hub cache is not counted
    assert [each.name for each in make_room(disk, 4 * MB, "it", nowhere)] == ["converted/old"]
    # What it is made from stays, and what was used a moment ago.
    used(disk, disk.cache / "converted/newer")
    with pytest.raises(DiskBudget):
        make_room(disk, 8 * MB, "it", disk.cache / "wheels/tiny/tiny.gguf")
    assert {"converted/newer", "wheels/tiny", "hub/them/it"} <= set(names(disk))
    assert [each.name for each in make_room(disk, 7 * MB, "it", nowhere)] == ["wheels/tiny"]
    assert make_room(Settings(cache_dir=disk.cache_dir), 10**15, "it", nowhere) == []  # no budget


def test_the_command(disk: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_CACHE_DIR", disk.cache_dir)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disk.cache.parent / "hub"))
    assert main(["cache", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)["kept"]} > {"hub/them/it", "converted/old"}
    assert main(["cache", "--remove", "converted/old"]) == 1  # nobody can be asked
    assert main(["cache", "--remove", "converted/old", "--yes"]) == 0
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert "4 MB   12 days ago  hub/them/it" in shown
    assert "converted/old" not in shown.split("is removed")[1]
