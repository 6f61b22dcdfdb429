"""A cache folder that cannot be made is the operator's setting, and not a failed download."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_adapters
import tiny_models
from fake_hub import FakeHub, Repo
from huggingface_hub import constants
from visitors import Seen

from models.domain.errors import BadCacheFolder, CorruptWeights, DownloadFailed
from models.domain.load import Snapshot
from models.domain.settings import Settings
from models.loading import converted
from models.weights import fetch_errors, own_folder
from models.weights.adapters import sources as adapters
from models.weights.adapters import uploads
from models.weights.sources import hub_card, locate, resolve

CARD, ROOT = tiny_models.card(), Path(__file__).parents[3]


@pytest.fixture(params=["is a file", "lies below a file"])
def blocked(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" if request.param == "is a file" else tmp_path / "file" / "a" / "b"
    return replace(settings, cache_dir=str(folder), adapters_dir=str(tmp_path / "adapters"))


def fetch(settings: Settings) -> object:
    seen = Seen()
    return resolve(CARD, "safetensors", settings, seen, seen.cancelled)


def look_up(settings: Settings) -> object:
    return hub_card(tiny_models.HUB_ID, settings)


def find(settings: Settings) -> object:
    tiny_adapters.write(Path(settings.adapters_dir) / "mine")
    return adapters.find("mine", CARD, settings)


def upload(settings: Settings) -> object:
    folder = tiny_adapters.write(Path(settings.adapters_dir) / "mine")
    return uploads.keep(folder / "adapter_config.json", folder / "adapter_model.safetensors", CARD, settings)


def convert(settings: Settings) -> object:
    return list(converted(CARD, Snapshot("m.gguf", "gguf", "folder", 1), settings))


@pytest.mark.parametrize("use", [fetch, look_up, find, upload, convert])
def test_the_first_use_names_the_setting(hub: FakeHub, blocked: Settings, use: Callable[[Settings], object]) -> None:
    hub.repos[tiny_models.HUB_ID] = Repo(tiny_models.model_files())
    with pytest.raises(BadCacheFolder, match=r"file.* cannot be used: it (is|lies below) a file\..*PADDOCK_CACHE_DIR"):
        use(blocked)
    assert hub.downloads("model.safetensors") == hub.downloads("config.json") == []


def test_what_is_here_needs_no_folder(blocked: Settings, tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    for name, data in tiny_models.model_files().items():
        (tmp_path / "models" / "tiny" / name).write_bytes(data)
    assert locate(CARD, "safetensors", replace(blocked, models_dir=str(tmp_path / "models"))) is not None


def test_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = os.environ | {"PADDOCK_CACHE_DIR": str(tmp_path / "file" / "x"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "models", "chat", "Hi", "--variant", "smollm2-135m-instruct@fp32"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "PADDOCK_CACHE_DIR" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_cannot_be_written(tmp_path: Path, code: int) -> None:
    def fault(file: Path | None) -> Exception:
        error = OSError(code, os.strerror(code), str(file)) if file else OSError(code, os.strerror(code))
        return fetch_errors.translate(error, "tiny", tmp_path / "cache")

    for file in (None, tmp_path / "cache" / "locks", tmp_path / "cache", tmp_path):
        assert isinstance(fault(file), BadCacheFolder)
    elsewhere = fault(tmp_path / "models" / "model.safetensors")
    if code == errno.EROFS:
        assert isinstance(elsewhere, DownloadFailed)
    else:
        assert isinstance(elsewhere, CorruptWeights)
        assert "model.safetensors cannot be used: this process may not read it" in str(elsewhere)


def test_a_folder_that_is_there_but_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BadCacheFolder, match="may not write there"):
        own_folder.require(settings)


def test_a_hub_cache_that_cannot_be_made(
    hub: FakeHub, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    hub.repos[tiny_models.HUB_ID] = Repo(tiny_models.model_files())
    with pytest.raises(BadCacheFolder, match=r"file/hub cannot be used: it lies below a file\. .*HF_HUB_CACHE"):
        fetch(settings)
