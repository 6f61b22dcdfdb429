"""From the name of an adapter to its checked file: every source, and what is asked of the Hub."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import tiny_adapters
import tiny_models
from fake_hub import FakeHub, Repo, git_commit
from huggingface_hub import constants
from tiny_adapters import CONFIG, WEIGHTS, arrays
from visitors import Seen

from models.domain import adapters as table
from models.domain.adapters import FoundAdapter, ListedAdapter
from models.domain.catalog import load_catalog
from models.domain.errors import (
    AdapterRefused,
    BadSpelling,
    CorruptWeights,
    DiskFull,
    DownloadCancelled,
    GatedModel,
    HubIdsNotAllowed,
    HubUnreachable,
    ModelIsAPath,
    NotOnHub,
    UnknownAdapter,
)
from models.domain.load import Adapter
from models.domain.settings import Settings
from models.system.files import state_of
from models.weights.adapters import places as adapter_places
from models.weights.adapters import sources as adapters
from models.weights.hub import access

NAME = "somebody/tiny-lora"
CARD = tiny_models.card()
PARAMETERS = tiny_adapters.parameters(arrays())


def find(settings: Settings, name: str = NAME, token: str | None = None) -> Adapter:
    return adapters.find(name, CARD, settings, token)


def fetch(settings: Settings, seen: Seen | None = None, name: str = NAME, token: str | None = None) -> Adapter:
    seen = seen or Seen()
    return adapters.fetch(name, CARD, settings, seen, seen.cancelled, token)


def large(**changes: object) -> dict[str, bytes]:
    """An adapter of some megabytes."""
    return tiny_adapters.files(arrays(tiny_adapters.NAMES, 512), r=512, target_modules=[*tiny_adapters.NAMES])


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """With folders of the operator's, for adapters and for models."""
    (tmp_path / "adapters").mkdir()
    (tmp_path / "models").mkdir()
    return replace(settings, adapters_dir=str(tmp_path / "adapters"), models_dir=str(tmp_path / "models"))


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A table of three, and the folder of those that come with the app."""
    listed = (
        ListedAdapter("shouts", "Shouts", tiny_models.HUB_ID, "writes loudly", folder="shouts"),
        ListedAdapter("far", "Far", tiny_models.HUB_ID, "lies on the Hub", hub_id="maker/far"),
        ListedAdapter("other", "Other", "owner/other", folder="other"),
    )
    for module in (table, adapters):
        monkeypatch.setattr(module, "load_adapters", lambda: listed)
    monkeypatch.setattr(adapter_places, "FINETUNED", tmp_path / "finetuned")
    tiny_adapters.write(tmp_path / "finetuned" / "shouts")


# --- folders ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("entries")
def test_listed_adapter_of_the_repository(own: Settings, tmp_path: Path) -> None:
    tiny_adapters.write(tmp_path / "adapters" / "shouts", {})
    adapter = find(own, "shouts")
    path = tmp_path / "finetuned" / "shouts" / WEIGHTS
    assert adapter.file == str(path), "the table comes before the operator's folder"
    assert adapter.state == state_of([path])
    assert (adapter.parameters, adapter.warning, adapter.config.rank) == (PARAMETERS, "", 4)
    assert fetch(own, name="shouts") == adapter


@pytest.mark.usefixtures("entries")
def test_listed_adapter_of_another_base(settings: Settings) -> None:
    with pytest.raises(UnknownAdapter, match=r"“other” for tiny here\. It was made for owner/other"):
        find(settings, "other")


@pytest.mark.usefixtures("entries")
def test_listed_adapter_whose_files_are_missing(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "finetuned" / "shouts").rename(tmp_path / "gone")
    with pytest.raises(UnknownAdapter, match="models/finetuned/shouts, which this copy of the app does not have"):
        find(settings, "shouts")


@pytest.mark.usefixtures("entries")
def test_listed_adapter_on_the_hub_needs_no_permission(hub: FakeHub, settings: Settings) -> None:
    hub.repos["maker/far"] = Repo(tiny_adapters.files())
    assert fetch(replace(settings, hub_ids=False), name="far").parameters == PARAMETERS
    assert find(replace(settings, hub_ids=False), "maker/far").file
    with pytest.raises(HubIdsNotAllowed, match="maker/far=main"):
        find(replace(settings, hub_ids=False), "maker/far=main")


@pytest.mark.usefixtures("entries")
def test_unknown_name_suggests_the_nearest(own: Settings, tmp_path: Path) -> None:
    tiny_adapters.write(tmp_path / "adapters" / "whispers")
    for name, near in (("shout", "shouts"), ("wispers", "whispers")):
        with pytest.raises(UnknownAdapter) as caught:
            find(own, name)
        assert caught.value.hint == f"Did you mean {near}?"
    with pytest.raises(UnknownAdapter, match="Pick one from the list"):
        find(own, "zzz")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../b", "https://x", "a\\b", "a/b/c", "a/b=../c"])
def test_path_is_no_adapter(own: Settings, name: str) -> None:
    for call in (find, lambda settings, name: fetch(settings, name=name)):
        with pytest.raises(ModelIsAPath):
            call(own, name)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a\x00"])
def test_name_that_cannot_be_spelled(own: Settings, name: str) -> None:
    with pytest.raises((BadSpelling, UnknownAdapter)):
        find(own, name)


def test_operators_adapter_by_name(own: Settings, tmp_path: Path) -> None:
    folder = tiny_adapters.write(tmp_path / "adapters" / "mine")
    assert find(own, "mine").file == str(folder / WEIGHTS)
    os.truncate(folder / WEIGHTS, 500)
    with pytest.raises(AdapterRefused, match=r"The adapter mine is refused: its adapter_model\.safetensors is damaged"):
        find(own, "mine")
    assert (folder / WEIGHTS).stat().st_size == 500, "it is left as it is"


def test_operators_adapter_by_hub_id(own: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "models" / NAME
    tiny_adapters.write(folder)
    assert find(own).file == str(folder / WEIGHTS)
    with pytest.raises(HubUnreachable):
        find(own, f"{NAME}=main")  # the folder does not say which revision it is
    with pytest.raises(HubIdsNotAllowed):
        find(replace(own, hub_ids=False))


def test_known_good_adapter_costs_next_to_nothing(own: Settings, tmp_path: Path) -> None:
    folder = tiny_adapters.write(tmp_path / "adapters" / "mine")
    first = find(own, "mine")
    started = time.process_time()
    for _ in range(20):
        assert find(own, "mine") == first
    assert (time.process_time() - started) / 20 < 0.01
    tiny_adapters.write(folder, tiny_adapters.files(arrays(rank=2), r=2))
    assert find(own, "mine").parameters == PARAMETERS // 2
    assert find(own, "mine").state != first.state
    with pytest.raises(AdapterRefused, match="more than the 1 kB"):
        find(replace(own, adapter_mb=0.001), "mine")


def test_good_for_one_base_is_not_good_for_another(own: Settings, tmp_path: Path) -> None:
    tiny_adapters.write(tmp_path / "adapters" / "mine")
    find(own, "mine")
    wider = tiny_models.card(hub_id="owner/wide", shape=tiny_models.shape_with(hidden_size=96, head_dim=16))
    with pytest.raises(AdapterRefused, match="made for tiny-org/tiny-llama: its q_proj takes 64 inputs, that of own"):
        adapters.find("mine", wider, own)
    same = tiny_models.card(hub_id="owner/same")
    assert "only the shapes" in adapters.find("mine", same, own).warning
    assert find(own, "mine").warning == ""


def test_listed_names_the_table_and_what_fits_in_the_operators_folder(
    own: Settings, tmp_path: Path, entries: None
) -> None:
    root = tmp_path / "adapters"
    tiny_adapters.write(root / "fitting")
    tiny_adapters.write(root / "same-shape", tiny_adapters.files(base_model_name_or_path="owner/same"))
    other = arrays(shape=tiny_models.shape_with(hidden_size=96, head_dim=16))
    tiny_adapters.write(root / "of-another", tiny_adapters.files(other, base_model_name_or_path="owner/other"))
    tiny_adapters.write(root / "damaged", {CONFIG: b"{", WEIGHTS: b""})
    tiny_adapters.write(root / "pickled", {CONFIG: b"{}", "adapter_model.bin": b""})
    tiny_adapters.write(root / "shouts")  # the table's own comes first
    tiny_adapters.write(root / "not a name")
    (root / "file").write_text("")
    found = adapters.listed(CARD, own)
    assert [entry.key for entry in found] == ["shouts", "far", "fitting", "same-shape"]
    assert found[2] == ListedAdapter("fitting", "fitting", tiny_models.HUB_ID, folder="fitting")
    assert adapters.listed(CARD, replace(own, adapters_dir=str(tmp_path / "nowhere"))) == found[:2]


def test_shipped_adapters_are_listed_for_their_base(settings: Settings) -> None:
    keys = [entry.key for entry in adapters.listed(load_catalog()["smollm2-135m-instruct"], settings)]
    assert {"pirate", "json"} <= set(keys)
    with pytest.raises(UnknownAdapter, match="SmolLM2-135M-Instruct"):
        find(settings, "pirate")


# --- the Hub ------------------------------------------------------------------------------------------------


def test_only_config_and_header_come_before_it_is_fetched(hub: FakeHub, settings: Settings, seen: Seen) -> None:
    files = large()
    hub.repos[NAME] = Repo(files)
    known = find(settings)
    assert (known.file, known.state, known.name) == ("", "", NAME)
    assert known.parameters * 4 == len(files[WEIGHTS]) - 8 - int.from_bytes(files[WEIGHTS][:8], "little")
    assert [request.range for request in hub.downloads(WEIGHTS)] == ["bytes=0-100000"]
    hub.requests.clear()
    assert find(settings) == known
    assert hub.requests == [], "it was noted"
    adapter = fetch(settings, seen)
    assert Path(adapter.file).read_bytes() == files[WEIGHTS]
    assert replace(adapter, file="", state="") == known
    assert hub.downloads("README.md") == []
    assert seen.downloads()[-1].done == seen.downloads()[-1].total == len(files[WEIGHTS])
    hub.requests.clear()
    assert fetch(settings) == find(settings) == adapter
    assert hub.requests == []


def test_files_of_another_program_are_used_without_a_network(settings: Settings) -> None:
    storage = Path(constants.HF_HUB_CACHE, "models--somebody--tiny-lora")
    folder = tiny_adapters.write(storage / "snapshots" / git_commit("first"))
    tiny_adapters.write(storage / "refs", {"main": git_commit("first").encode()})
    assert find(settings).file == fetch(settings).file == str(folder / WEIGHTS)
    (storage / "refs" / "main").unlink()
    assert find(settings).file == str(folder / WEIGHTS), "the commit was noted"


def test_pinned_commit(hub: FakeHub, settings: Settings) -> None:
    hub.repos[NAME] = Repo(tiny_adapters.files())
    pinned = f"{NAME}={git_commit('first')}"
    assert find(settings, pinned).file == ""
    hub.requests.clear()
    assert find(settings, pinned).file == ""
    assert hub.requests == []


@pytest.mark.slow
def test_commit_that_vanished_is_replaced(hub: FakeHub, settings: Settings) -> None:
    hub.repos[NAME] = Repo(tiny_adapters.files())
    find(settings)
    hub.repos[NAME] = Repo(tiny_adapters.files(arrays(rank=2), r=2), commit=git_commit("second"))
    assert fetch(settings).config.rank == 2, "the owner rewrote the history"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({CONFIG: b"{}", "adapter_model.bin": b"x"}, "only there as a pickle"),
        (tiny_adapters.files() | {CONFIG: b"["}, "its adapter_config.json is damaged"),
        (
            tiny_adapters.files(arrays(shape=tiny_models.shape_with(hidden_size=896)), base_model_name_or_path="o/b"),
            "it was made for o/b: its q_proj takes 896 inputs, that of tiny-org/tiny-llama takes 64",
        ),
        (tiny_adapters.files() | {WEIGHTS: tiny_adapters.files()[WEIGHTS][:-4]}, "it is cut short"),
    ],
)
def test_refused_before_the_weights_come(
    hub: FakeHub, settings: Settings, files: dict[str, bytes], reason: str
) -> None:
    hub.repos[NAME] = Repo(files)
    with pytest.raises(AdapterRefused, match=reason):
        fetch(settings)
    assert all(request.range == "bytes=0-100000" for request in hub.downloads(WEIGHTS))


def test_size_limit_before_the_download(hub: FakeHub, settings: Settings) -> None:
    hub.repos[NAME] = Repo(tiny_adapters.files(), claimed_sizes={WEIGHTS: 10**12})
    with pytest.raises(AdapterRefused, match=r"1000\.0 GB, more than the 256 MB"):
        fetch(settings)
    assert hub.downloads(CONFIG) == hub.downloads(WEIGHTS) == []


def test_values_are_checked_after_the_download(hub: FakeHub, settings: Settings) -> None:
    tensors = arrays()
    tensors[tiny_adapters.key("v_proj", "B")][0, 0] = numpy.nan
    hub.repos[NAME] = Repo(tiny_adapters.files(tensors))
    assert find(settings).file == ""
    for _ in range(2):
        with pytest.raises(AdapterRefused, match="NaN"):
            fetch(settings)
    assert len([request for request in hub.downloads(WEIGHTS) if request.range is None]) == 1
    with pytest.raises(AdapterRefused, match="NaN"):
        find(settings)


def test_damaged_copy_is_discarded_and_fetched_anew(hub: FakeHub, settings: Settings) -> None:
    hub.repos[NAME] = Repo(tiny_adapters.files())
    path = Path(fetch(settings).file)
    for damage in (lambda: os.truncate(path, 600), lambda: path.resolve().write_bytes(flipped(path))):
        damage()
        with pytest.raises(CorruptWeights, match="discarded"):
            find(settings)
        assert fetch(settings).file == str(path)


def flipped(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    return bytes(data)


def test_two_visitors_share_one_download(hub: FakeHub, settings: Settings) -> None:
    hub.repos[NAME] = Repo(large(), pause_s=0.02)
    visitors, found = [Seen(), Seen()], []
    threads = [threading.Thread(target=lambda seen=seen: found.append(fetch(settings, seen))) for seen in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 2
    assert found[0] == found[1]
    assert len([request for request in hub.downloads(WEIGHTS) if request.range is None]) == 1
    assert all(len({step.done for step in seen.downloads()}) >= 3 for seen in visitors)


@pytest.mark.slow
def test_cancelled_download(hub: FakeHub, settings: Settings, seen: Seen) -> None:
    hub.repos[NAME] = Repo(large(), pause_s=0.05)
    seen.cancel_at = 200_000
    with pytest.raises(DownloadCancelled, match="somebody/tiny-lora"):
        fetch(settings, seen)
    assert find(settings).file == ""


def test_without_the_hub(settings: Settings) -> None:
    for call in (find, fetch):
        with pytest.raises(HubUnreachable, match=NAME):
            call(settings)


def test_gated_private_and_missing(hub: FakeHub, settings: Settings) -> None:
    with pytest.raises(NotOnHub, match=NAME):
        find(settings)
    hub.repos[NAME] = Repo(tiny_adapters.files(), gated=True, private=True, readers={"hf_friend"})
    hub.repos[NAME].private = False
    with pytest.raises(GatedModel, match=r"huggingface\.co/somebody/tiny-lora"):
        find(settings)
    assert fetch(settings, token="hf_friend").file
    with pytest.raises(GatedModel):  # it is here, but not for everybody
        find(settings)
    assert find(settings, token="hf_friend").file


def test_hub_ids_not_allowed(hub: FakeHub, settings: Settings) -> None:
    for call in (find, fetch):
        with pytest.raises(HubIdsNotAllowed):
            call(replace(settings, hub_ids=False))
    assert hub.requests == []


@pytest.mark.slow
def test_header_that_comes_too_late_is_guessed(hub: FakeHub, settings: Settings) -> None:
    hub.repos[NAME] = Repo(large(), pause_s=1.0, claimed_sizes={WEIGHTS: 10**12})
    hasty = replace(settings, hub_timeout_s=0.3, adapter_mb=1e9)
    assert find(hasty).parameters == 10**12 // 2
    with pytest.raises(DiskFull, match=r"1000\.0 GB"):
        fetch(hasty)


# --- the list of the Hub ------------------------------------------------------------------------------------


def test_search_by_downloads(hub: FakeHub, settings: Settings) -> None:
    tags = (f"base_model:adapter:{tiny_models.HUB_ID}", "peft")
    for n in range(25):
        hub.repos[f"somebody/lora{n}"] = Repo({}, tags=tags, popularity=(n, 2 * n))
    hub.repos["somebody/merge"] = Repo({}, tags=(f"base_model:merge:{tiny_models.HUB_ID}",), popularity=(99, 0))
    hub.repos["somebody/hidden"] = Repo({}, tags=tags, popularity=(999, 0), private=True, readers={"hf_mine"})
    found = adapters.search(CARD, settings)
    assert found[0] == FoundAdapter("somebody/lora24", 24, 48, "2025-01-31")
    assert [entry.downloads for entry in found] == list(range(24, 4, -1))
    assert hub.requests[-1].token is None
    assert adapters.search(CARD, settings, "hf_mine")[0].hub_id == "somebody/hidden"


def test_search_uses_no_token_of_the_operator(
    hub: FakeHub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_operator")
    adapters.search(CARD, replace(settings, gated_models=(tiny_models.HUB_ID,)))
    assert {request.token for request in hub.requests} == {None}


def test_search_without_the_hub_or_without_permission(hub: FakeHub, settings: Settings) -> None:
    assert adapters.search(CARD, replace(settings, hub_ids=False)) == []
    assert hub.requests == []
    hub.status = 503
    access.forget()
    assert adapters.search(CARD, settings) == []
