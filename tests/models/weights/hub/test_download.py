"""Downloads from the Hub: what is taken, what is remembered, and every way in which it fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny_models
from fake_hub import FakeHub, Repo, git_commit
from huggingface_hub import constants
from visitors import Seen

from models.domain.errors import (
    CorruptWeights,
    DiskFull,
    DownloadCancelled,
    DownloadFailed,
    GatedModel,
    HubUnreachable,
    NotOnHub,
    UnsafeWeights,
)
from models.domain.load import Snapshot
from models.domain.settings import Settings
from models.weights.hub import access, question
from models.weights.sources import locate, resolve

HUB_ID = tiny_models.HUB_ID
ROOT = Path(__file__).parents[4]


def get(settings: Settings, seen: Seen | None = None, token: str | None = None, **changes: object) -> Snapshot:
    seen = seen or Seen()
    return resolve(tiny_models.card(**changes), "safetensors", settings, seen, seen.cancelled, token)


def look_ups(hub: FakeHub) -> int:
    """How often somebody began a download: huggingface_hub's own lock would hide a second one of the same file."""
    return sum(request.path == f"/api/models/{HUB_ID}" for request in hub.requests)


def blobs() -> list[str]:
    return [path.name for path in Path(constants.HF_HUB_CACHE).rglob("blobs/*")]


def test_takes_safetensors_and_settings_and_nothing_else(hub: FakeHub, settings: Settings, seen: Seen) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    snapshot = get(settings, seen)
    taken = {path.name for path in Path(snapshot.path).iterdir()}
    assert taken == {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}
    assert (snapshot.origin, snapshot.form, snapshot.trusted) == ("hub", "safetensors", False)
    assert snapshot.revision == git_commit("first")
    assert snapshot.bytes == sum(len(hub.repos[HUB_ID].files[name]) for name in taken)


def test_progress_counts_real_bytes(hub: FakeHub, settings: Settings, seen: Seen) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(kilobytes=4096), pause_s=0.02)
    snapshot = get(settings, seen)
    steps = seen.downloads()
    assert {step.total for step in steps} == {snapshot.bytes}
    assert steps[-1].done == snapshot.bytes
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    partial = {step.done for step in steps if step.detail == "model.safetensors"}
    assert len(partial) >= 3, "one jump from nothing to everything is no progress"


def test_second_time_is_warm_and_asks_nobody(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    get(settings)
    hub.requests.clear()
    started = time.process_time()
    snapshot = get(settings)
    assert time.process_time() - started < 0.05
    assert snapshot.origin == "hub cache"
    assert hub.requests == []


def test_first_commit_is_recorded_and_kept(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    first = get(settings)
    table = json.loads((settings.cache / "revisions.json").read_text())
    assert table[HUB_ID]["commit"] == first.revision
    refs = Path(constants.HF_HUB_CACHE, "models--tiny-org--tiny-llama", "refs")
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(git_commit("second"))  # another program moved on
    assert get(settings).revision == first.revision


def test_pinned_revision_is_asked_for(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), commit=git_commit("pinned"))
    assert get(settings, revision=git_commit("pinned")).revision == git_commit("pinned")
    with pytest.raises(NotOnHub, match="no such revision"):
        get(settings, key="other", revision=git_commit("never"))


def test_commit_that_vanished_is_replaced(hub: FakeHub, settings: Settings) -> None:
    settings.cache.mkdir(parents=True)
    (settings.cache / "revisions.json").write_text(json.dumps({HUB_ID: {"commit": git_commit("gone")}}))
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    assert get(settings).revision == git_commit("first")
    assert get(settings).origin == "hub cache"


def test_gguf_form_takes_the_one_file(hub: FakeHub, settings: Settings, seen: Seen, tmp_path: Path) -> None:
    wanted = tiny_models.gguf_file()
    data = tiny_models.gguf_bytes(tmp_path)
    hub.repos[wanted.repo] = Repo({wanted.file: data, "other.gguf": b"GGUF", "config.json": b"{}"})
    snapshot = resolve(tiny_models.card(gguf=wanted), "gguf", settings, seen, seen.cancelled)
    assert Path(snapshot.path).read_bytes() == data
    assert (snapshot.form, snapshot.bytes) == ("gguf", len(data))
    assert hub.downloads("other.gguf") == []


def test_broken_connection_goes_on_where_it_stopped(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(kilobytes=2048), drop_at={"model.safetensors": 1_000_000})
    get(settings)
    ranges = [request.range for request in hub.downloads("model.safetensors")]
    assert ranges[0] is None
    assert ranges[1]
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 1_000_000


def test_cancelled_download_leaves_nothing_and_can_be_taken_up(hub: FakeHub, settings: Settings, seen: Seen) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(kilobytes=8192), pause_s=0.05)
    seen.cancel_at = 1_000_000
    with pytest.raises(DownloadCancelled):
        get(settings, seen)
    assert not any(name.endswith(".incomplete") for name in blobs())
    assert locate(tiny_models.card(), "safetensors", settings) is None
    assert not (settings.cache / "locks" / "tiny.progress.json").exists()
    hub.repos[HUB_ID].pause_s = 0
    assert get(settings).origin == "hub"
    assert len(hub.downloads("config.json")) == 1, "files that were whole are kept"


@pytest.fixture
def silent(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository whose server falls silent in the middle of its weights."""
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(kilobytes=512), pause_s=30)
    return hub.repos[HUB_ID]


def test_visitor_leaves_a_silent_server_at_once_and_can_come_back(silent: Repo, settings: Settings) -> None:
    left = time.monotonic() + 1
    card, seen = tiny_models.card(), Seen()
    with pytest.raises(DownloadCancelled):
        resolve(card, "safetensors", settings, seen, lambda: time.monotonic() > left)
    assert time.monotonic() - left < 1
    silent.pause_s = 0
    assert get(settings).origin == "hub"
    assert not any(name.endswith(".incomplete") for name in blobs())


def test_silent_server_is_given_up(silent: Repo, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "STALL_S", 3.0)
    started = time.monotonic()
    with pytest.raises(DownloadFailed, match="nothing arrived for 3 seconds"):
        get(settings)
    assert time.monotonic() - started < 6
    threads = [thread for thread in threading.enumerate() if thread.name == "hub-question"]
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive(), "the library does not try for ever"
    assert not any(name.endswith(".incomplete") for name in blobs())


def test_two_threads_share_one_download(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(kilobytes=4096), pause_s=0.03)
    visitors = [Seen(), Seen()]
    found: list[Snapshot] = []
    threads = [threading.Thread(target=lambda seen=seen: found.append(get(settings, seen))) for seen in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({snapshot.path for snapshot in found}) == 1
    assert len(found) == 2
    assert len(hub.downloads("model.safetensors")) == look_ups(hub) == 1
    for seen in visitors:
        assert len({step.done for step in seen.downloads()}) >= 3, "who waits sees the bytes of the other"


def test_two_processes_share_one_download(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(kilobytes=4096), pause_s=0.03)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tiny_models\n"
        "from models.domain.settings import Settings; from models.weights.sources import resolve\n"
        "steps = []\n"
        "snapshot = resolve(tiny_models.card(), 'safetensors', Settings(cache_dir=sys.argv[2]), steps.append,"
        " lambda: False)\n"
        "print(snapshot.path, len({step.done for step in steps if step.stage == 'download'}))"
    )
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": constants.HF_HUB_CACHE, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(Path(tiny_models.__file__).parent), str(settings.cache)]
    children = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [child.communicate(timeout=30)[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert answers[0][0] == answers[1][0]
    assert len(hub.downloads("model.safetensors")) == look_ups(hub) == 1
    assert all(int(steps) >= 3 for _, steps in answers)


def test_truncated_file_is_named_discarded_and_fetched_anew(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    path = Path(get(settings).path, "model.safetensors")
    whole = path.stat().st_size
    os.truncate(path, whole - 100)
    assert locate(tiny_models.card(), "safetensors", settings) is None
    with pytest.raises(CorruptWeights, match=r"model\.safetensors is damaged: it is cut short"):
        get(settings)
    assert get(settings).origin == "hub"
    assert path.stat().st_size == whole
    assert len(hub.downloads("model.safetensors")) == 2
    assert len(hub.downloads("config.json")) == 1


def test_changed_bytes_are_found_by_the_hash(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), damage={"model.safetensors"})
    with pytest.raises(CorruptWeights, match="SHA-256"):
        get(settings)
    assert get(settings).origin == "hub"


@pytest.mark.parametrize(
    "pattern", ["model-{:05}-of-00002.safetensors", "model.safetensors-{:05}-of-00002.safetensors", "w_{}.safetensors"]
)
def test_sharded_model(hub: FakeHub, settings: Settings, seen: Seen, pattern: str) -> None:
    first, second = (pattern.format(number) for number in (1, 2))
    hub.repos[HUB_ID] = Repo(tiny_models.sharded_files(first, second) | {"model-00001-of-00009.safetensors": b"older"})
    snapshot = get(settings, seen)
    folder = Path(snapshot.path)
    assert {first, second} == {path.name for path in folder.glob("*.safetensors")}, "what the index does not name stays"
    assert {step.total for step in seen.downloads()} == {snapshot.bytes}
    assert locate(tiny_models.card(), "safetensors", settings) == snapshot
    (folder / second).unlink()
    assert locate(tiny_models.card(), "safetensors", settings) is None
    assert get(settings).origin == "hub"
    assert len(hub.downloads(first)) == 1


@pytest.mark.parametrize(
    ("changes", "removed", "reason"),
    [
        ({}, "model.safetensors", "pickled"),
        ({"auto_map": {"AutoModel": "modeling_tiny.TinyModel"}}, "", "auto_map"),
    ],
)
def test_unsafe_repository_is_refused_before_its_weights(
    hub: FakeHub, settings: Settings, changes: dict[str, object], removed: str, reason: str
) -> None:
    files = tiny_models.model_files(**changes)
    files.pop(removed, None)
    hub.repos[HUB_ID] = Repo(files)
    with pytest.raises(UnsafeWeights, match=reason):
        get(settings)
    assert hub.downloads("model.safetensors") == hub.downloads("pytorch_model.bin") == []


def test_unknown_repository_and_file(hub: FakeHub, settings: Settings, seen: Seen) -> None:
    with pytest.raises(NotOnHub, match="tiny-org/tiny-llama"):
        get(settings)
    wanted = tiny_models.gguf_file()
    hub.repos[wanted.repo] = Repo({"config.json": b"{}"})
    with pytest.raises(NotOnHub, match=r"tiny\.Q4_1\.gguf"):
        resolve(tiny_models.card(gguf=wanted), "gguf", settings, seen, seen.cancelled)
    with pytest.raises(NotOnHub, match="GGUF"):
        resolve(tiny_models.card(), "gguf", settings, seen, seen.cancelled)


def test_size_that_does_not_fit_is_refused_before_the_download(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), claimed_sizes={"model.safetensors": 10**15})
    with pytest.raises(DiskFull, match=r"1000000\.0 GB"):
        get(settings)
    assert hub.downloads("model.safetensors") == []


def test_refused_connection_is_noticed_at_once(settings: Settings) -> None:
    started = time.monotonic()
    with pytest.raises(HubUnreachable, match="tiny"):
        get(settings)
    assert time.monotonic() - started < settings.hub_timeout_s + 1


def test_silent_server_is_noticed_in_time_and_remembered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        access.forget()
        started = time.monotonic()
        with pytest.raises(HubUnreachable):
            get(settings)
        assert settings.hub_timeout_s * 0.8 < time.monotonic() - started < settings.hub_timeout_s + 1
        started = time.monotonic()
        with pytest.raises(HubUnreachable):
            get(settings)
        assert time.monotonic() - started < 0.5


def test_offline_mode_asks_nobody(hub: FakeHub, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachable):
        get(settings)
    assert hub.requests == []


def test_hub_that_is_down_is_unreachable(hub: FakeHub, settings: Settings) -> None:
    hub.status = 503
    started = time.monotonic()
    with pytest.raises(HubUnreachable):
        get(settings)
    assert time.monotonic() - started < settings.hub_timeout_s + 1


def test_gated_without_access(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), gated=True)
    with pytest.raises(GatedModel, match=r"huggingface\.co/tiny-org/tiny-llama"):
        get(settings, token="hf_without_access")
    with pytest.raises(GatedModel):  # the catalog does not know yet that it is gated
        get(settings)
