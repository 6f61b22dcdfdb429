"""Seconds of a GPU as `spaces` asks for them, which multiplies what is declared on slower hardware."""

import json
import math
from datetime import timedelta
from importlib.resources import files

import pytest
from spaces.zero import client, config

from models.compute import quota
from models.compute.quota import charged_s, declared_s

CONFIGS = json.loads(files("spaces.zero").joinpath("configs.json").read_text())


@pytest.mark.parametrize("known", CONFIGS, ids=lambda known: known["model"])
def test_what_is_said_is_what_is_asked_for_enough_and_within_the_limit(known, monkeypatch):
    monkeypatch.setattr(quota, "on_zero_gpu", lambda: True)
    monkeypatch.setattr(config, "get_config", lambda: known)
    assert {each["duration_factor"] for each in CONFIGS} == {1.0, 1.5}
    for tenths in range(20, 1400):
        charged = charged_s(tenths / 10, 120)
        asked = round(client.get_duration_seconds(timedelta(seconds=declared_s(charged)), None))
        assert charged == asked
        assert math.ceil(tenths / 10) <= charged <= math.ceil(tenths / 10) + 1 or charged == 120


def test_an_xlarge_gpu_multiplies_nothing(monkeypatch):
    monkeypatch.setattr(quota, "on_zero_gpu", lambda: True)
    monkeypatch.setattr(config, "get_config", lambda: CONFIGS[1])
    assert quota.duration_factor() == 1.5
    monkeypatch.setattr(quota, "gpu_size", lambda: "xlarge")
    assert (quota.duration_factor(), charged_s(24.2, 120), declared_s(25)) == (1.0, 25, 25)
