"""One piece of work at a time, in the background: what it says, how it is stopped, and what goes wrong."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from models.domain.errors import BadSize, NothingNamed, OutputExists, PaddockError
from models.domain.settings import Settings
from models.runtime import Runtime
from models.workshop import asked as work
from models.workshop.asked import Asked, Bench


@pytest.fixture
def runtime(tmp_path: Path, tiny_folder: Path) -> Runtime:
    """A machine whose models folder holds me/tiny."""
    shutil.copytree(tiny_folder, tmp_path / "models/me/tiny")
    return Runtime(Settings(cache_dir=str(tmp_path / "cache"), models_dir=str(tmp_path / "models"), threads=1))


def done(bench: Bench) -> work.Work:
    for _ in range(600):
        if bench.work and bench.work.ended:
            return bench.work
        time.sleep(0.05)
    raise AssertionError("it did not end")


def test_it_is_done_and_said(runtime: Runtime, tmp_path: Path) -> None:
    bench, out = Bench(runtime), tmp_path / "out"
    assert bench.begin(Asked("save", "me/tiny@fp32", out=str(out), shard="60kB"))
    found = done(bench)
    assert found.error is None
    assert found.lines[0] == str(out)
    assert sum("model-0" in line for line in found.lines) == len(list(out.glob("model-*"))) > 1
    for path, told in ((str(out), "9 files"), ("", "safetensors")):
        bench.begin(Asked("show", "me/tiny@fp32", path))
        assert told in done(bench).lines[0]
    bench.begin(Asked("push", path=str(out), repo="me/copy", licence="mit"))
    lines = done(bench).lines
    assert "base_model: me/tiny" in lines  # nothing is sent unless that is asked for


def test_it_is_stopped_and_goes_on(runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, steps = Bench(runtime), []
    do = work.do

    def slow(*given: object) -> list[str]:
        def step(progress: object) -> None:
            steps.append(progress)
            if len(steps) == 3:
                assert not bench.begin(Asked("show", "me/tiny"))  # one at a time
                bench.stop()
            given[2](progress)  # type: ignore[operator]

        return do(given[0], given[1], step)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "do", slow)
    asked = Asked("save", "me/tiny@fp32", out=str(tmp_path / "out"), shard="60kB")
    bench.begin(asked)
    found = done(bench)
    assert (found.stopped, found.error) == (True, None)
    assert not (tmp_path / "out").exists()
    bench.begin(asked)
    assert done(bench).lines
    assert len(list((tmp_path / "out").glob("model-*"))) > 1


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (Asked("save", "me/tiny@fp32", shard="60kB"), NothingNamed),
        (Asked("save", "me/tiny@fp32", out="{}/out", shard="large"), BadSize),
        (Asked("save", "me/tiny@fp32", out="{}/models"), OutputExists),
        (Asked("convert", out="{}/out"), NothingNamed),
        (Asked("show", path="{}/nothing"), PaddockError),
    ],
)
def test_what_cannot_be_done_is_said(runtime: Runtime, tmp_path: Path, asked: Asked, kind: type[PaddockError]) -> None:
    from dataclasses import replace

    bench = Bench(runtime)
    bench.begin(replace(asked, out=asked.out.format(tmp_path), path=asked.path.format(tmp_path)))
    assert isinstance(done(bench).error, kind)
