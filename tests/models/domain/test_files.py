"""States of files, and the names of models in several."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from models.domain.catalog import gguf_label, part_files, part_names
from models.domain.load import Snapshot
from models.system.files import state_of


def test_state_changes_with_every_way_of_replacing(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"one")
    first, times = state_of([path]), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    assert state_of([path]) == first
    path.read_bytes()
    assert state_of([path]) == first, "reading changes nothing"
    seen = {first}
    path.write_bytes(b"two")
    os.utime(path, ns=times)
    seen.add(state_of([path]))
    shutil.copy2(path, other)
    os.replace(other, path)
    os.utime(path, ns=times)
    seen.add(state_of([path]))
    path.write_bytes(b"three")
    os.utime(path, ns=times)
    seen.add(state_of([path]))
    assert len(seen) == 4


def test_state_of_several(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_bytes(b"same")
    assert state_of(files) == state_of(reversed(files))
    assert len({state_of(files), state_of(files[:1]), state_of(files[1:])}) == 3
    with pytest.raises(FileNotFoundError):
        state_of([tmp_path / "none"])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("a-00002-of-00002.gguf", 2),
        ("a.Q8_0-00001-of-00012.gguf", 12),
        ("a-00001-of-00001.gguf", 1),
        ("a.gguf", 1),
        ("a-00003-of-00002.gguf", 1),
        ("a-00000-of-00002.gguf", 1),
        ("a-1-of-2.gguf", 1),
        ("a-00001-of-99999.gguf", 1),
        ("a-00001-of-00002.safetensors", 1),
    ],
)
def test_parts(name: str, count: int) -> None:
    parts = part_names(name)
    assert (len(parts), name in parts) == (count, True)
    assert all(part_names(part) == parts for part in parts)
    assert part_files(Path("x", name)) == [Path("x", part) for part in parts]


@pytest.mark.parametrize(
    ("file", "label"), [("a.Q8_0-00001-of-00002.gguf", "Q8_0"), ("a-q4_k_m-00002-of-00002.gguf", "q4_k_m")]
)
def test_label_of_parts(file: str, label: str) -> None:
    assert gguf_label(file) == label


def test_a_snapshot_is_its_content_and_not_its_origin() -> None:
    first = Snapshot("m", "gguf", "hub", 1, "commit", state="a")
    assert first == Snapshot("m", "gguf", "hub cache", 1, "commit", state="a")
    assert first != Snapshot("m", "gguf", "hub", 1, "commit", state="b")
    assert (first.content, Snapshot("m", "gguf", "folder", 1, state="a").content) == ("commit", "a")
