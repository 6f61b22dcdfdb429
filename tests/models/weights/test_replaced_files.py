"""Files that are replaced by others of the same name, size and time are other files: nothing noted holds for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_adapters
import tiny_models
from fake_hub import FakeHub, Repo
from visitors import Seen

from models.domain.errors import AdapterRefused, DamagedFolder
from models.domain.load import Form, Load, Local, Snapshot
from models.domain.settings import Settings
from models.weights.adapters import sources as adapters
from models.weights.adapters.checks import WEIGHTS
from models.weights.sources import locate, resolve

CARD = tiny_models.card()


def get(settings: Settings, form: Form) -> Snapshot:
    seen = Seen()
    return resolve(CARD, form, settings, seen, seen.cancelled)


def changed(path: Path, change: Callable[[bytes], bytes] = lambda data: data[:-1] + bytes([data[-1] ^ 1])) -> None:
    """Put another file in a file's place, of the same size and time, as cp -p, rsync and tar do."""
    state, data = path.stat(), path.read_bytes()
    other = path.with_name("other")
    other.write_bytes(change(data).ljust(len(data), b"#")[: len(data)])
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(other, path)


def spoiled(data: bytes) -> bytes:
    return b"?" * len(data)


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "adapters").mkdir()
    return replace(settings, models_dir=str(tmp_path / "models"), adapters_dir=str(tmp_path / "adapters"))


def fill(own: Settings, form: Form, tmp_path: Path, parts: int = 1) -> list[Path]:
    folder = Path(own.models_dir, "tiny")
    data = tiny_models.gguf_bytes(tmp_path)
    names = [f"a-{number:05}-of-{parts:05}.gguf" for number in range(1, parts + 1)] if parts > 1 else ["a.gguf"]
    files = tiny_models.model_files() if form == "safetensors" else dict.fromkeys(names, data)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in (["model.safetensors", "tokenizer.json"] if form == "safetensors" else names)]


@pytest.mark.parametrize(("form", "parts"), [("safetensors", 1), ("gguf", 1), ("gguf", 2)])
def test_a_replaced_model_is_another_load(own: Settings, tmp_path: Path, form: Form, parts: int) -> None:
    files = fill(own, form, tmp_path, parts)
    first = get(own, form)
    assert get(own, form) == locate(CARD, form, own) == first
    assert first.state
    seen = [first]
    for file in files:
        changed(
            file,
            (lambda data: data.replace(b": ", b" :", 1)) if file.suffix == ".json" else lambda data: data[:-1] + b"\1",
        )
        assert locate(CARD, form, own) == get(own, form)
        seen.append(get(own, form))
    assert len({Load("tiny", Local(snapshot, "x", 1, 1), own) for snapshot in seen}) == len(files) + 1
    assert len({replace(snapshot, state="") for snapshot in seen}) == 1


@pytest.mark.parametrize(("form", "parts"), [("safetensors", 1), ("gguf", 1), ("gguf", 2)])
def test_a_replaced_model_is_checked_again(own: Settings, tmp_path: Path, form: Form, parts: int) -> None:
    files = fill(own, form, tmp_path, parts)
    get(own, form)
    last = files[-1] if form == "gguf" else files[0]
    changed(last, spoiled)
    assert locate(CARD, form, own) is None
    with pytest.raises(DamagedFolder, match=last.name):
        get(own, form)


def test_a_replaced_adapter_is_another_and_is_checked_again(own: Settings) -> None:
    path = tiny_adapters.write(Path(own.adapters_dir) / "mine") / WEIGHTS
    first = adapters.find("mine", CARD, own)
    assert adapters.find("mine", CARD, own).state == first.state
    changed(path)
    assert adapters.find("mine", CARD, own).state != first.state
    changed(path, spoiled)
    with pytest.raises(AdapterRefused, match="not a safetensors file"):
        adapters.find("mine", CARD, own)


def test_a_fresh_download_is_the_same_load_as_the_file_that_is_found_later(hub: FakeHub, settings: Settings) -> None:
    hub.repos[tiny_models.HUB_ID] = Repo(tiny_models.model_files())
    fresh, found = get(settings, "safetensors"), get(settings, "safetensors")
    assert (fresh.origin, found.origin) == ("hub", "hub cache")
    assert fresh == found


def test_parts_of_a_gguf_are_one_model(own: Settings, tmp_path: Path) -> None:
    first, second, third = fill(own, "gguf", tmp_path, 3)
    snapshot = get(own, "gguf")
    assert (snapshot.path, snapshot.bytes) == (str(first), sum(path.stat().st_size for path in (first, second, third)))
    for path in (second, third, first):
        data = path.read_bytes()
        path.unlink()
        assert locate(CARD, "gguf", own) is None
        with pytest.raises(DamagedFolder, match=rf"tiny/{path.name} .*: it is missing, one of 3 parts"):
            get(own, "gguf")
        path.write_bytes(data)
    (first.parent / "b.gguf").write_bytes(first.read_bytes())
    assert get(own, "gguf").path == str(first)


def test_all_parts_are_fetched_from_the_hub(hub: FakeHub, settings: Settings, tmp_path: Path) -> None:
    data = tiny_models.gguf_bytes(tmp_path)
    wanted = tiny_models.gguf_file(file="tiny.Q4_1-00001-of-00002.gguf")
    hub.repos[wanted.repo] = Repo({wanted.file: data, "tiny.Q4_1-00002-of-00002.gguf": data, "other.gguf": data})
    card, seen = tiny_models.card(gguf=wanted), Seen()
    snapshot = resolve(card, "gguf", settings, seen, seen.cancelled)
    assert (Path(snapshot.path).name, snapshot.bytes, snapshot.origin) == (wanted.file, 2 * len(data), "hub")
    assert locate(card, "gguf", settings) == snapshot
    assert {step.total for step in seen.downloads()} == {2 * len(data)}
    Path(snapshot.path).with_name("tiny.Q4_1-00002-of-00002.gguf").unlink()
    assert locate(card, "gguf", settings) is None
    assert resolve(card, "gguf", settings, seen, seen.cancelled) == snapshot
