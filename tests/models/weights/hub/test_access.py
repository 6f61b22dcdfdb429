"""What keeps a visitor from a model is told apart, each with its own next step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
from fake_hub import FakeHub, Repo
from huggingface_hub import constants
from visitors import Seen

from models.domain.errors import (
    AccessAwaited,
    BadToken,
    HubUnreachable,
    LicenceNotAccepted,
    NotOnHub,
    NotSignedIn,
    TokenWithoutScope,
    WeightsError,
)
from models.domain.settings import Settings
from models.weights.hub import access
from models.weights.hub.quota import seconds_left
from models.weights.sharing import Visit
from models.weights.sources import locate, prove_access, resolve

HUB_ID = tiny_models.HUB_ID
READER, OTHER, WAITING, UNSCOPED, REVOKED = "hf_reader", "hf_other", "hf_waiting", "hf_unscoped", "hf_revoked"
KEPT_OUT = [
    (None, NotSignedIn),
    (OTHER, LicenceNotAccepted),
    (WAITING, AccessAwaited),
    (UNSCOPED, TokenWithoutScope),
    (REVOKED, BadToken),
]


@pytest.fixture
def gated(hub: FakeHub) -> FakeHub:
    hub.repos[HUB_ID] = Repo(tiny_models.model_files(), gated=True, readers={READER}, waiting={WAITING})
    hub.unscoped, hub.revoked = {UNSCOPED}, {REVOKED}
    return hub


def get(settings: Settings, token: str | None) -> object:
    seen = Seen()
    return resolve(tiny_models.card(gated=True), "safetensors", settings, seen, seen.cancelled, token)


@pytest.mark.parametrize(("token", "error"), KEPT_OUT)
def test_asked_and_downloaded(gated: FakeHub, settings: Settings, token: str | None, error: type[WeightsError]) -> None:
    for attempt in (lambda: prove_access(tiny_models.card(gated=True), settings, token), lambda: get(settings, token)):
        with pytest.raises(WeightsError) as caught:
            attempt()
        assert type(caught.value) is error
        assert "huggingface.co/" in caught.value.hint
        assert token is None or token not in str(caught.value)


def test_who_may_read_it(gated: FakeHub, settings: Settings) -> None:
    prove_access(tiny_models.card(gated=True), settings, READER)
    assert gated.downloads("model.safetensors") == []


@pytest.mark.parametrize("token", [None, READER])
def test_what_is_not_there(gated: FakeHub, settings: Settings, token: str | None) -> None:
    card = tiny_models.card()
    with pytest.raises(NotOnHub, match="model called nobody/nothing"):
        prove_access(replace(card, hub_id="nobody/nothing"), settings, token)
    with pytest.raises(NotOnHub, match="such revision"):
        prove_access(replace(card, revision="no-branch"), settings, token)


def test_no_hub(settings: Settings) -> None:
    with pytest.raises(HubUnreachable):
        prove_access(tiny_models.card(), settings, READER)


@pytest.mark.parametrize(("token", "error"), KEPT_OUT)
def test_files_of_a_gated_model_that_another_program_fetched_are_for_who_may_read_it(
    gated: FakeHub, settings: Settings, token: str | None, error: type[WeightsError], tmp_path: Path
) -> None:
    get(settings, READER)
    elsewhere = replace(settings, cache_dir=str(tmp_path / "another"))  # knows nothing of who fetched them
    card = tiny_models.card(gated=True)
    assert locate(card, "safetensors", elsewhere) is None
    with pytest.raises(error):
        get(elsewhere, token)
    get(elsewhere, READER)
    assert len(gated.downloads("model.safetensors")) == 1


def test_files_that_the_operator_shares_are_for_everybody_and_need_no_hub(
    gated: FakeHub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(settings, READER)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    access.forget()
    for listed in ((HUB_ID,), ("*",)):
        assert get(replace(settings, gated_models=listed), None)


def test_what_is_left_of_a_visitors_quota(hub: FakeHub, settings: Settings) -> None:
    hub.quotas[READER] = 754.5
    assert seconds_left(Visit("quota", settings, READER)) == 754.5
    assert seconds_left(Visit("quota", settings, OTHER)) is None  # may not read it
    assert seconds_left(Visit("quota", settings)) is None
    assert {asked.token for asked in hub.requests if "quota" in asked.path} == {READER, OTHER}
    hub.status = 503
    assert seconds_left(Visit("quota", settings, READER)) is None
