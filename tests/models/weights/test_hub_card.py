"""Cards of models that the catalog does not list."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from fake_hub import FakeHub, Repo, git_commit
from visitors import Seen

from models.domain.errors import (
    BadSpelling,
    GatedModel,
    HubIdsNotAllowed,
    HubUnreachable,
    ModelIsAPath,
    NotOnHub,
    UnknownModel,
    UnsafeWeights,
)
from models.domain.settings import Settings
from models.weights.hub import access
from models.weights.sources import hub_card, resolve, settings_folder

HUB_ID = tiny_models.HUB_ID


def test_card_says_what_the_config_says(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    card = hub_card(HUB_ID, settings)
    assert (card.key, card.hub_id, card.title, card.kind) == (HUB_ID, HUB_ID, "tiny-llama", "instruct")
    assert (card.shape, card.context, card.licence) == (tiny_models.SHAPE, 512, "apache-2.0")
    assert card.revision == git_commit("first")
    assert hub.downloads("model.safetensors") == []


def test_card_is_resolved_untrusted_and_works_without_the_hub_later(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    card, seen = hub_card(HUB_ID, settings), Seen()
    assert not resolve(card, "safetensors", settings, seen, seen.cancelled).trusted
    hub.requests.clear()
    assert hub_card(HUB_ID, settings) == card
    assert resolve(card, "safetensors", settings, seen, seen.cancelled).origin == "hub cache"
    assert hub.requests == []


def test_without_a_chat_template_it_is_a_base_model(hub: FakeHub, settings: Settings) -> None:
    files = tiny_models.model_files()
    hub.repos[HUB_ID] = Repo(files | {"tokenizer_config.json": b"{}"})
    assert hub_card(HUB_ID, settings).kind == "base"
    hub.repos["tiny-org/jinja"] = Repo(files | {"tokenizer_config.json": b"{}", "chat_template.jinja": b"{{ x }}"})
    assert hub_card("tiny-org/jinja", settings).kind == "instruct"


def test_revision_is_part_of_the_name(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    card = hub_card(f"{HUB_ID}=main", settings)
    assert (card.key, card.hub_id, card.revision) == (f"{HUB_ID}=main", HUB_ID, git_commit("first"))
    with pytest.raises(NotOnHub):
        hub_card(f"{HUB_ID}=nowhere", settings)


def test_card_from_the_operators_folder(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "models" / HUB_ID
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(tiny_models.config()))
    card = hub_card(HUB_ID, replace(settings, models_dir=str(tmp_path / "models")))
    assert (card.kind, card.shape) == ("base", tiny_models.SHAPE)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("../../etc", ModelIsAPath),
        ("/etc/passwd", ModelIsAPath),
        ("https://example.org/x", ModelIsAPath),
        ("owner/na me", BadSpelling),
        ("nothing-like-it", UnknownModel),
        ("owner/name", HubUnreachable),
    ],
)
def test_names_that_give_no_card(settings: Settings, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        hub_card(name, settings)


def test_operator_can_switch_hub_ids_off(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    with pytest.raises(HubIdsNotAllowed):
        hub_card(HUB_ID, replace(settings, hub_ids=False))
    assert hub.requests == []


def test_unsafe_gated_and_unknown(hub: FakeHub, settings: Settings) -> None:
    hub.repos["tiny-org/code"] = Repo(tiny_models.model_files(auto_map={"AutoModel": "x.y"}))
    hub.repos["tiny-org/bin"] = Repo({"config.json": b"{}", "pytorch_model.bin": b"x"})
    hub.repos["tiny-org/gated"] = Repo(tiny_models.model_files(), gated=True)
    for name, error in (("code", UnsafeWeights), ("bin", UnsafeWeights), ("gated", GatedModel), ("none", NotOnHub)):
        with pytest.raises(error):
            hub_card(f"tiny-org/{name}", settings)


def test_a_chat_template_is_had_without_the_weights_and_asked_for_once(hub: FakeHub, settings: Settings) -> None:
    card, template = tiny_models.card(), b"{{ enable_thinking }}"
    hub.repos[HUB_ID] = Repo(tiny_models.model_files() | {"chat_template.jinja": template})
    folder = settings_folder(card, settings)
    assert folder is not None
    assert (folder / "chat_template.jinja").read_bytes() == template
    assert hub.downloads("model.safetensors") == []
    hub.requests.clear()
    assert (settings_folder(card, settings), hub.requests) == (folder, [])


def test_without_the_hub_or_access_to_it_there_is_no_template(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), gated=True)
    assert settings_folder(tiny_models.card(), settings) is None
    hub.close()
    access.forget()
    assert settings_folder(tiny_models.card(), settings) is None


# --- parameters: the Hub counts those of its files, a folder's own headers say theirs --------------------------

WHOLE, HEAD = tiny_models.SHAPE.parameters, tiny_models.SHAPE.vocabulary * tiny_models.SHAPE.hidden
EXTRA = {"model.layers.2.mlp.up_proj.weight": (128, 64)}


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        (None, WHOLE),
        (WHOLE, WHOLE),
        (WHOLE + HEAD, WHOLE),  # a head that is stored too, though it is tied
        (WHOLE + 32, WHOLE),
        (WHOLE + 128 * 64, WHOLE + 128 * 64),
    ],
)
def test_files_win_where_they_hold_5_percent_more(
    hub: FakeHub, settings: Settings, stated: int | None, shown: int
) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), parameters=stated)
    card = hub_card(HUB_ID, settings)
    assert card.parameters == shown
    hub.requests.clear()
    assert (hub_card(HUB_ID, settings), hub.requests) == (card, [])


def test_operators_folder_is_counted_on_the_spot(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "models" / HUB_ID
    folder.mkdir(parents=True)
    own = replace(settings, models_dir=str(tmp_path / "models"))
    files, shapes = tiny_models.model_files(), tiny_models.whole_model() | EXTRA
    (folder / "model-00001-of-00009.safetensors").write_bytes(files.pop("model.safetensors"))  # of an older split
    weight_map = {}
    for number in (1, 2):
        part = dict(list(shapes.items())[number - 1 :: 2])
        files[f"model-{number:05}-of-00002.safetensors"] = tiny_models.saved(part)
        weight_map |= dict.fromkeys(part, f"model-{number:05}-of-00002.safetensors")
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    assert hub_card(HUB_ID, own).counted_parameters == WHOLE + 128 * 64
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"")
    assert hub_card(HUB_ID, own).counted_parameters is None
