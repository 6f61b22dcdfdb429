"""GGUF models in several files, and labels that only the Hub's own list names."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_hub import FakeHub, Repo
from tiny_gguf import write_parts, write_tiny_gguf
from tiny_models import card, gguf_bytes, gguf_file
from visitors import Seen

from models.domain.catalog import Catalog
from models.domain.errors import ModeNotPossible, NotOnHub
from models.domain.load import Local, Snapshot
from models.domain.memory.bytes import file_bytes
from models.domain.messages import Delta, Message, Sampling
from models.domain.quantization import card_for, modes_of
from models.domain.request import ChatRequest
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.engines.llama.engine import open_gguf
from models.runtime import Runtime
from models.weights import sources
from models.weights.gguf_contents import gguf_contents
from models.weights.hub import access
from tests.ui.markup import Markup
from ui.compare.presets import PRESETS
from ui.picker.picked import show

PARTS = [f"Q8_0/tiny.Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
REPO = "tiny-org/tiny-GGUF"


def files(folder: Path) -> dict[str, bytes]:
    found = {name: gguf_bytes(folder, 64 * number) for number, name in enumerate(PARTS, 1)}
    names = ("tiny.Q4_1.gguf", "tiny.IQ4_XS.gguf", "mmproj-tiny.F16.gguf", "tiny.Q2_K-00001-of-00002.gguf")
    return found | dict.fromkeys(names, gguf_bytes(folder)) | {"README.md": b"#"}


def runtime(settings: Settings) -> Runtime:
    return Runtime(settings, Catalog([card(gguf=gguf_file())]))


def test_a_label_that_only_the_hub_lists_is_known_by_its_name(hub: FakeHub, settings: Settings, tmp_path: Path) -> None:
    hub.repos[REPO] = Repo(held := files(tmp_path))
    here = runtime(replace(settings, default_variant="tiny"))
    variant = Variant("tiny", "gguf-q8_0")
    found = here.card(variant)
    assert found.gguf is not None
    assert found.gguf.more == ("Q8_0", "IQ4_XS"), "not what lacks a part, nor what sees"
    mode = here.resolve(variant, found)[1]
    assert file_bytes(found, mode) == sum(len(held[name]) for name in PARTS)
    asked = len(hub.requests)
    here.card(variant)
    hub.close()
    access.forget()
    assert here.card(variant) == found, "it is remembered"
    assert len(hub.requests) == asked
    with pytest.raises(ModeNotPossible):
        here.resolve(Variant("tiny", "gguf-q6_k"), here.card(Variant("tiny", "gguf-q6_k")))


def test_a_model_that_is_picked_has_all_its_files_in_lists_and_presets_anew_each_day(
    hub: FakeHub, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[REPO] = Repo(files(tmp_path))
    here, variant = runtime(replace(settings, default_variant="tiny")), Variant("tiny", "gguf")
    own = [mode.name for mode in modes_of(here.card(variant)) if mode.form == "gguf"]
    assert (own, hub.requests) == (["gguf"], []), "nobody is asked as a plan is made"
    here.look_up_files(variant, 30)
    offered = {"gguf-q4_1", "gguf-q8_0", "gguf-iq4_xs"}
    assert offered <= here.describe(here.card(variant)).plans.keys()
    table = Markup(show(here, variant)[3])
    assert "2 more GGUF files on the Hub" in table.text
    assert offered - {"gguf-q4_1"} <= set(table.values("data-press")), table.values("data-press")
    listed = {made.quantization for made in PRESETS["modes"](here, variant, None).variants}
    assert {"gguf-q8_0", "gguf-iq4_xs"} <= listed
    asked = len(hub.requests)
    hub.repos[REPO].files["tiny.Q6_K.gguf"] = gguf_bytes(tmp_path)
    here.look_up_files(variant, 30)
    assert len(hub.requests) == asked, "not twice a day"
    later = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: later)
    here.look_up_files(variant, 30)
    assert "gguf-q6_k" in here.describe(here.card(variant)).plans


def test_all_parts_are_fetched_as_one_and_a_missing_one_is_named(
    hub: FakeHub, settings: Settings, seen: Seen, tmp_path: Path
) -> None:
    hub.repos[REPO] = Repo(held := files(tmp_path))
    here = runtime(replace(settings, default_variant="tiny"))
    found = here.card(Variant("tiny", "gguf-q8_0"))
    mode = here.resolve(Variant("tiny", "gguf-q8_0"), found)[1]
    narrowed = card_for(mode, found)
    snapshot = sources.resolve(narrowed, "gguf", settings, seen, seen.cancelled)
    total = sum(len(held[name]) for name in PARTS)
    assert (Path(snapshot.path).name, snapshot.bytes) == (Path(PARTS[0]).name, total)
    loaded = [progress for progress in seen.all if progress.stage == "download"]
    assert {progress.total for progress in loaded} == {total}
    assert [progress.done for progress in loaded] == sorted(progress.done for progress in loaded)
    assert loaded[-1].done == total
    (Path(snapshot.path).parent / Path(PARTS[1]).name).unlink()
    del hub.repos[REPO].files[PARTS[1]]
    with pytest.raises(NotOnHub, match="Q8_0-00002-of-00003"):
        sources.resolve(narrowed, "gguf", settings, seen, seen.cancelled)


def test_a_model_in_several_files_is_fetched_loaded_and_answers_as_one(
    hub: FakeHub, settings: Settings, tmp_path: Path, tiny_folder: Path
) -> None:
    """Of parts that hold real tensors, in the real llama.cpp."""
    parts = tmp_path / "parts"
    parts.mkdir()
    write_parts(tiny_folder, parts, len(PARTS))
    hub.repos[REPO] = Repo({name: file.read_bytes() for name, file in zip(PARTS, sorted(parts.iterdir()), strict=True)})
    here = runtime(replace(settings, default_variant="tiny", context=512, slots=1))
    greedy = Sampling(max_new_tokens=12, temperature=0, seed=1)
    request = ChatRequest(Variant("tiny", "gguf-q8_0"), (Message("user", "Hello"),), greedy)
    said = [event for event in here.answer(request) if isinstance(event, Delta)]
    here.eject("tiny@gguf-q8_0")
    assert said[-1].usage.finish is not None
    whole = write_tiny_gguf(tiny_folder, tmp_path / "whole.gguf")
    local = Local(Snapshot(str(whole), "gguf", "folder", whole.stat().st_size, trusted=True), "gguf", 512, 1)
    engine = open_gguf(local, "cpu", settings, lambda step: None)
    wanted = list(engine.generate(engine.render(request.messages), greedy))
    engine.close()
    assert "".join(delta.text for delta in said) == "".join(delta.text for delta in wanted) != ""
    found = gguf_contents(str(whole), "")
    assert found is not None
    assert here.plan(request.variant).weights == found.weights, "planned by the headers of all parts"
