"""What is packed for every worker has to fit on the disk together, and into a GPU that is charged once."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.compute.packed import LARGE_BYTES, obstacle

GB = 10**9


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not made yet, on a disk with 35 GB."""

    def disk_usage(place: Path) -> SimpleNamespace:
        assert place == tmp_path
        return SimpleNamespace(free=35 * GB)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    monkeypatch.setenv("ZEROGPU_OFFLOAD_DIR", str(tmp_path / "zerogpu" / "tensors"))


@pytest.mark.parametrize(
    ("weights", "before", "words"),
    [
        (30 * GB, 0, ""),
        (5 * GB, 30 * GB, ""),
        (10 * GB, 30 * GB, "the disk has 35.0 GB for all that is packed, 40.0 GB with it"),
        (36 * GB, 0, "the disk has 35.0 GB"),
        (10 * GB, LARGE_BYTES, "xlarge"),
        (LARGE_BYTES + 1, 0, "xlarge"),
    ],
)
def test_all_that_is_packed_shares_the_disk_and_the_gpu(disk: None, weights: int, before: int, words: str) -> None:
    said = obstacle(weights, before)
    assert said.startswith(words) if words != "xlarge" else words in said
    assert bool(said) == bool(words)
