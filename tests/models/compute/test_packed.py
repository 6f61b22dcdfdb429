"""What is packed for every worker has to fit on the disk together, and into a GPU that is charged once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.compute.estimate import Work
from models.compute.packed import LARGE_BYTES, StartTime, obstacle
from models.domain.messages import Progress
from models.domain.variant import Variant
from models.packing import _packed

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


def test_what_would_take_longer_than_the_start_has_is_not_packed() -> None:
    start = StartTime(seconds=100)
    assert not start.obstacle(9 * GB)
    assert start.obstacle(11 * GB).startswith("it would take about 110 s, and 100 of the 100 s")
    start.note(GB, 20)
    start.note(GB, 10)
    assert not start.obstacle(4 * GB)
    assert "about 120 s" in start.obstacle(6 * GB), "at the slowest pace that was seen"
    start.began -= 101
    assert "0 of the 100 s" in start.obstacle(1)


def test_a_download_that_takes_too_long_does_not_keep_the_space_from_opening(disk: None) -> None:
    closed: list[bool] = []

    def ready(variant: Variant) -> Iterator[Progress]:
        try:
            while True:
                time.sleep(0.01)
                yield Progress("download")
        finally:
            closed.append(True)

    endless: Any = SimpleNamespace(work=lambda variant: Work("m@bf16", 1000), ready=ready)
    said: list[str] = []
    assert _packed(endless, Variant.parse("m@bf16"), 0, StartTime(seconds=0.05), said.append) == 0
    assert "PADDOCK_PACK_SECONDS" in said[0]
    assert closed
