"""Adapters that visitors bring: found by their name only, bounded in number, size and time."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_adapters
import tiny_models
from tiny_adapters import CONFIG, WEIGHTS, arrays

from models.domain.errors import AdapterRefused, UnknownAdapter
from models.domain.load import Adapter
from models.domain.settings import Settings
from models.weights.adapters import sources as adapters
from models.weights.adapters import uploads

CARD = tiny_models.card()


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    return tiny_adapters.write(tmp_path / "brought")


def keep(folder: Path, settings: Settings) -> Adapter:
    return uploads.keep(folder / CONFIG, folder / WEIGHTS, CARD, settings)


def kept(settings: Settings) -> set[str]:
    return {path.name for path in (settings.cache / "uploads").iterdir()}


def test_kept_and_found_by_its_name(brought: Path, settings: Settings) -> None:
    adapter = keep(brought, settings)
    assert re.fullmatch("my-adapter-[a-z2-7]{24}", adapter.name)
    assert Path(adapter.file).read_bytes() == (brought / WEIGHTS).read_bytes()
    for path in brought.iterdir():
        path.unlink()
    assert adapters.find(adapter.name, CARD, settings) == adapter
    assert adapters.fetch(adapter.name, CARD, settings, print, lambda: False) == adapter
    assert kept(settings) == {adapter.name}


def test_the_name_begins_with_what_the_visitor_or_the_file_says(brought: Path, settings: Settings) -> None:
    renamed = (brought / WEIGHTS).rename(brought / "Sea Pirate (v2).safetensors")
    adapter = uploads.keep(brought / CONFIG, renamed, CARD, settings)
    assert re.fullmatch("sea-pirate-v2-[a-z2-7]{24}", adapter.name)
    assert adapters.find(adapter.name, CARD, settings) == adapter
    mine = uploads.keep(brought / CONFIG, renamed, CARD, settings, f"  ../{'Größe' * 20}\n")
    assert re.fullmatch("gr-e-?[a-z-]{1,40}-[a-z2-7]{24}", mine.name)


def test_names_are_never_the_same_and_in_no_list(brought: Path, settings: Settings) -> None:
    names = {keep(brought, settings).name for _ in range(5)}
    assert len(names) == 5
    assert {entry.key for entry in adapters.listed(CARD, settings)} & names == set()
    with pytest.raises(UnknownAdapter) as caught:
        adapters.find(f"upload-{'a' * 24}", CARD, settings)
    assert not any(name in str(caught.value) for name in names)
    assert "upload it again" in caught.value.hint


@pytest.mark.parametrize("name", ["upload-", "upload-abc", f"upload-{'A' * 24}", f"upload-{'a' * 25}"])
def test_other_names_are_no_uploads(settings: Settings, name: str) -> None:
    (settings.cache / "uploads" / name).mkdir(parents=True)
    (settings.cache / "uploads" / name / uploads.USED).touch()
    with pytest.raises(UnknownAdapter):
        adapters.find(name, CARD, settings)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (tiny_adapters.files(arrays(rank=2)), "is 2 in its file and 4 in its config"),
        (tiny_adapters.files() | {WEIGHTS: b"x"}, "it is not a safetensors file"),
        (tiny_adapters.files() | {CONFIG: b"x" * 1_000_001}, "more than 1,000,000"),
    ],
)
def test_refused_and_nothing_stays(brought: Path, settings: Settings, files: dict[str, bytes], reason: str) -> None:
    tiny_adapters.write(brought, files)
    with pytest.raises(AdapterRefused) as caught:
        keep(brought, settings)
    assert caught.value.message.startswith("The adapter you uploaded is refused: ")
    assert reason in caught.value.message
    assert not (settings.cache / "uploads").exists() or kept(settings) == set()


def test_too_large_is_refused_before_it_is_copied(brought: Path, settings: Settings) -> None:
    with pytest.raises(AdapterRefused, match="B that are allowed here"):
        keep(brought, replace(settings, adapter_mb=0.001))
    assert not (settings.cache / "uploads").exists()


def test_missing_files_and_folders_are_refused(brought: Path, settings: Settings) -> None:
    with pytest.raises(AdapterRefused, match="it is not a file"):
        uploads.keep(brought, brought / WEIGHTS, CARD, settings)
    with pytest.raises(AdapterRefused, match="it is not a file"):
        uploads.keep(brought / CONFIG, brought / "nothing", CARD, settings)


def test_operator_may_forbid_them(brought: Path, settings: Settings) -> None:
    name = keep(brought, settings).name
    forbidden = replace(settings, uploads=False)
    with pytest.raises(AdapterRefused, match="takes no uploads"):
        keep(brought, forbidden)
    with pytest.raises(UnknownAdapter):
        adapters.find(name, CARD, forbidden)


def test_least_recently_used_go_first(brought: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST", 3)
    names = [keep(brought, settings).name for _ in range(3)]
    aged(settings, names, 60.0)
    adapters.find(names[0], CARD, settings)
    new = keep(brought, settings).name
    assert kept(settings) == {names[0], names[2], new}
    with pytest.raises(UnknownAdapter):
        adapters.find(names[1], CARD, settings)
    assert len(list((settings.cache / "checked").iterdir())) == 3, "what was noted of the others is gone too"


def test_all_of_them_have_bounded_bytes(brought: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    one = (brought / WEIGHTS).stat().st_size
    monkeypatch.setattr(uploads, "MOST_BYTES", int(2.9 * one))
    names = [keep(brought, settings).name for _ in range(3)]
    assert len(kept(settings)) == 2
    assert names[2] in kept(settings)


def test_unused_for_a_day_go_at_the_next_one(brought: Path, settings: Settings) -> None:
    old, new = keep(brought, settings).name, keep(brought, settings).name
    aged(settings, [old], 25 * 3600.0)
    half = settings.cache / "uploads" / ".new-died"
    half.mkdir()
    os.utime(half, (0, 0))
    assert kept(settings) == {old, new, ".new-died"}
    newest = keep(brought, settings).name
    assert kept(settings) == {new, newest}


def test_many_at_once(brought: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST", 4)
    names: list[str] = []

    def visitor() -> None:
        for _ in range(3):
            name = keep(brought, settings).name
            names.append(name)
            with suppress(UnknownAdapter):  # others came meanwhile
                assert adapters.find(name, CARD, settings).name == name

    threads = [threading.Thread(target=visitor) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(names)) == 12
    assert kept(settings) <= set(names)
    assert len(kept(settings)) == 4


def aged(settings: Settings, names: list[str], seconds: float) -> None:
    """As if nobody had used them for so long, the first the longest."""
    for place, name in enumerate(names):
        then = time.time() - seconds + place
        os.utime(settings.cache / "uploads" / name / uploads.USED, (then, then))
