"""Whose token goes where: each of these is a promise to visitors and to the operator."""

from __future__ import annotations

import pytest
import tiny_models
from fake_hub import FakeHub, Repo
from visitors import Seen

from models.domain.errors import GatedModel, NotOnHub
from models.domain.settings import Settings
from models.weights.sources import locate, resolve

HUB_ID = tiny_models.HUB_ID
OPERATOR, VISITOR = "hf_operator", "hf_visitor"


@pytest.fixture(autouse=True)
def operators_token(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", OPERATOR)


def get(settings: Settings, token: str | None = None, gated: bool = False) -> object:
    seen = Seen()
    return resolve(tiny_models.card(gated=gated), "safetensors", settings, seen, seen.cancelled, token)


@pytest.mark.parametrize("known_to_be_gated", [True, False])
def test_operators_token_is_never_sent_for_a_model_that_is_not_listed(
    hub: FakeHub, settings: Settings, known_to_be_gated: bool
) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), gated=True, readers={OPERATOR})
    with pytest.raises(GatedModel):
        get(settings, gated=known_to_be_gated)
    assert [request for request in hub.requests if request.token] == []


def test_operators_token_is_used_where_the_operator_lists_the_model(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), gated=True, readers={OPERATOR})
    listed = Settings(cache_dir=settings.cache_dir, hub_timeout_s=1.0, gated_models=(HUB_ID,))
    get(listed, gated=True)
    assert OPERATOR in {request.token for request in hub.requests}
    assert locate(tiny_models.card(gated=True), "safetensors", listed) is not None


def test_visitors_token_is_used_for_the_visitor_and_kept_nowhere(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), gated=True, readers={VISITOR})
    get(settings, VISITOR, gated=True)
    assert {request.token for request in hub.requests} == {None, VISITOR}  # the probe has none
    files = [path for path in settings.cache.parent.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if VISITOR.encode() in path.read_bytes()] == []


def test_what_a_visitor_fetched_is_not_for_others(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), private=True, readers={VISITOR})
    get(settings, VISITOR)
    assert locate(tiny_models.card(), "safetensors", settings) is None
    with pytest.raises(GatedModel):
        get(settings)
    with pytest.raises(NotOnHub):
        get(settings, "hf_somebody_else")
    get(settings, VISITOR)
    assert len(hub.downloads("model.safetensors")) == 1


def test_open_model_fetched_with_a_token_is_for_everybody(hub: FakeHub, settings: Settings) -> None:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files())
    get(settings, VISITOR)
    assert locate(tiny_models.card(), "safetensors", settings) is not None
