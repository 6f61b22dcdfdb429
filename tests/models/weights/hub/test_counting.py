"""Parameters counted in the headers of weight files, without downloading them."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from fake_hub import FakeHub, Repo, git_commit
from tiny_models import HUB_ID, SHAPE

from models.domain.errors import CorruptWeights
from models.domain.settings import Settings
from models.weights.hub import counting
from models.weights.hub.question import Question, ask
from models.weights.sharing import Visit
from models.weights.sources import hub_card

WHOLE = sum(a * (b[0] if b else 1) for a, *b in tiny_models.whole_model().values())
EXTRA = {"model.layers.2.mlp.up_proj.weight": (128, 64)}


def repo(shapes: dict[str, tuple[int, ...]]) -> Repo:
    return Repo(tiny_models.model_files() | {"model.safetensors": tiny_models.saved(shapes)})


def split(shapes: dict[str, tuple[int, ...]], files: int = 2) -> dict[str, bytes]:
    """The files of a model in several, and one of an older split that its index does not name."""
    found = {name: data for name, data in tiny_models.model_files().items() if name != "model.safetensors"}
    weight_map = {}
    for number in range(files):
        file = f"model-{number + 1:05}-of-{files:05}.safetensors"
        part = dict(list(shapes.items())[number::files])
        found[file] = tiny_models.saved(part)
        weight_map |= dict.fromkeys(part, file)
    found["model-00001-of-00009.safetensors"] = tiny_models.saved(shapes)
    found["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    return found


def test_whole_model_is_what_the_shape_says(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = repo(tiny_models.whole_model() | {"lm_head.weight": (256, 64), "a.rotary_emb.inv_freq": (8,)})
    card = hub_card(HUB_ID, settings)
    assert card.counted_parameters == card.parameters == SHAPE.parameters == WHOLE
    assert [request.range for request in hub.downloads("model.safetensors")] == ["bytes=0-100000"]


def test_files_win_where_they_hold_2_percent_more(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = repo(tiny_models.whole_model() | EXTRA)
    card = hub_card(HUB_ID, settings)
    assert card.parameters == WHOLE + 128 * 64
    few = {"model.layers.0.k_proj.bias": (32,)}
    hub.repos["tiny-org/bias"] = repo(tiny_models.whole_model() | few)
    card = hub_card("tiny-org/bias", settings)
    assert (card.counted_parameters, card.parameters) == (WHOLE + 32, WHOLE)
    assert replace(card, counted_parameters=None).parameters == WHOLE


@pytest.mark.parametrize("revision", [None, "main", git_commit("first")])
def test_count_is_remembered_with_the_revision(hub: FakeHub, settings: Settings, revision: str | None) -> None:
    hub.repos[HUB_ID] = repo(tiny_models.whole_model() | EXTRA)
    name = f"{HUB_ID}={revision}" if revision else HUB_ID
    card = hub_card(name, settings)
    hub.requests.clear()
    assert hub_card(name, settings) == card
    assert (card.counted_parameters, card.licence) == (WHOLE + 128 * 64, "apache-2.0")
    assert hub.requests == []


def test_model_in_several_files_is_counted_by_its_index(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(split(tiny_models.whole_model() | EXTRA))
    assert hub_card(HUB_ID, settings).counted_parameters == WHOLE + 128 * 64
    ranges = {request.range for request in hub.requests if request.path.endswith(".safetensors")}
    assert ranges == {"bytes=0-100000"}


def test_long_header_is_asked_for_in_two_pieces(hub: FakeHub, settings: Settings) -> None:
    many = {f"model.layers.{n}.bias": (1,) for n in range(2000)}
    hub.repos[HUB_ID] = repo(many)
    assert hub_card(HUB_ID, settings).counted_parameters == 2000
    first, second = hub.downloads("model.safetensors")
    assert (first.range, second.range and second.range.startswith("bytes=8-")) == ("bytes=0-100000", True)


def forged(entry: object) -> bytes:
    header = json.dumps({"a": entry}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(64)


def count_here(hub: FakeHub, settings: Settings, files: dict[str, bytes], folder: Path = Path("nowhere")) -> int | None:
    """Ask about files whose index is in a folder."""
    hub.repos[HUB_ID] = Repo(files)

    def work(question: Question) -> int | None:
        return counting.count_on_hub(question, replace(question.look_up(None), folder=folder), SHAPE)

    return ask(work, HUB_ID, Visit("tiny", settings))


def test_too_many_files_are_not_asked_for(hub: FakeHub, settings: Settings, tmp_path: Path) -> None:
    good = {"model.safetensors": tiny_models.saved(tiny_models.whole_model())}
    assert count_here(hub, settings, good) == WHOLE
    many = split({f"model.{n}": (1,) for n in range(100)}, files=100)
    (tmp_path / "model.safetensors.index.json").write_bytes(many["model.safetensors.index.json"])
    hub.requests.clear()
    with pytest.raises(CorruptWeights, match="more than 64 files"):
        count_here(hub, settings, many, tmp_path)
    assert not any(request.range for request in hub.requests)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not safetensors at all",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"{}",
        forged("b"),
        forged({"dtype": "F16", "shape": [10**12], "data_offsets": [0, 64]}),
        forged({"dtype": "F16", "shape": [10**12], "data_offsets": [0, 2 * 10**12]}),
        forged({"dtype": "F16", "shape": [-4, -8], "data_offsets": [0, 64]}),
        forged({"dtype": "F16", "shape": ["many"], "data_offsets": [0, 64]}),
        forged({"dtype": "WHAT", "shape": [4], "data_offsets": [0, 64]}),
    ],
)
def test_forged_header_counts_nothing(hub: FakeHub, settings: Settings, data: bytes) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files() | {"model.safetensors": data})
    assert hub_card(HUB_ID, settings).counted_parameters is None
    assert len(hub.downloads("model.safetensors")) in (1, 2)


def test_without_a_count_the_shape_suffices(hub: FakeHub, settings: Settings) -> None:
    files = split(tiny_models.whole_model()) | {"model.safetensors.index.json": b"{"}
    hub.repos[HUB_ID] = Repo(files)
    card = hub_card(HUB_ID, settings)
    assert (card.counted_parameters, card.parameters) == (None, SHAPE.parameters)


def test_slow_headers_are_not_waited_for(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = repo(tiny_models.whole_model())
    hub.repos[HUB_ID].pause_s = 5.0
    started = time.monotonic()
    card = hub_card(HUB_ID, replace(settings, hub_timeout_s=0.5))
    assert card.counted_parameters is None
    assert time.monotonic() - started < 5


def test_operators_folder_is_counted_on_the_spot(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "models" / HUB_ID
    folder.mkdir(parents=True)
    own = replace(settings, models_dir=str(tmp_path / "models"))
    for name, data in split(tiny_models.whole_model() | EXTRA).items():
        (folder / name).write_bytes(data)
    assert hub_card(HUB_ID, own).counted_parameters == WHOLE + 128 * 64
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"")
    assert hub_card(HUB_ID, own).counted_parameters is None
    assert counting.count_folder(tmp_path / "nowhere", SHAPE) is None
