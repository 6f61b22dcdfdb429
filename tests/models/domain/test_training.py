"""Training settings are checked at birth; two runs that differ are told apart in words."""

import json
from dataclasses import replace

import pytest

from models.domain.errors import TrainingSettingOutOfBounds
from models.domain.training import LINEARS, RANGES, RowCounts, TrainingSettings, difference, fingerprint


@pytest.mark.parametrize("name", RANGES)
def test_bounds_hold_and_what_lies_outside_is_refused(name):
    bounds = RANGES[name]
    for value in (bounds.low, bounds.high):
        assert getattr(TrainingSettings(**{name: value}), name) == value
    outside = [bounds.low - 1, bounds.high * 2, float("nan"), True, "8", None]
    for value in [*outside, bounds.low + 0.5] if bounds.whole else outside:
        with pytest.raises(TrainingSettingOutOfBounds, match=f"training's {name} is"):
            TrainingSettings(**{name: value})


@pytest.mark.parametrize("targets", [(), ("a.b",), ("q_proj", ""), ("(x|y)*",), (1,), ("x",) * 65])
def test_targets_are_plain_names(targets):
    with pytest.raises(TrainingSettingOutOfBounds, match="names of linear layers"):
        TrainingSettings(targets=targets)


def test_the_method_is_one_of_two():
    with pytest.raises(TrainingSettingOutOfBounds, match=r"method is dpo.*lora or full"):
        TrainingSettings(method="dpo")
    with pytest.raises(TrainingSettingOutOfBounds, match=r"rows is 1, .*at least 2"):
        TrainingSettings(rows=1)


def test_targets_are_told_apart_by_what_they_are_not_by_their_order():
    assert TrainingSettings(targets=LINEARS[::-1]) == TrainingSettings()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"rank": 4}, "rank 4 instead of 8"),
        ({"learning_rate": 1e-3}, "learning rate 0.001 instead of 0.0002"),
        ({"targets": ("q_proj",)}, "targets q_proj instead of down_proj,"),
    ],
)
def test_what_differs_is_said(change, words):
    settings = TrainingSettings()
    earlier = fingerprint(replace(settings, **change), "a/b", "main 5", "00", "ab", ())
    now = fingerprint(settings, "a/b", "main 5", "00", "ab", ())
    said = difference(json.loads(json.dumps(earlier)), now)
    assert said.startswith(words)
    assert bool(said) == bool(words)


def test_other_data_and_other_weights_are_said():
    settings = TrainingSettings()
    now = fingerprint(settings, "a/b", "main 5", "00", "ab", ())
    assert difference(fingerprint(settings, "a/b", "main 5", "11", "ab", ()), now) == "other data"
    assert difference(fingerprint(settings, "a/b", "main 6", "00", "ab", ()), now) == "other weights of the base"
    assert difference(fingerprint(settings, "a/c", "main 5", "00", "ab", ()), now) == "base a/c instead of a/b"
    other = fingerprint(settings, "a/b", "main 5", "00", "cd", ())
    assert difference(other, now) == "other tokens of the same rows"
    assert difference({}, now)


def test_what_became_of_the_rows_in_words():
    assert RowCounts(9, 1).sentence(512) == "9 rows to learn from, 1 held out"
    said = RowCounts(9, 1, cut=2, left_out=1).sentence(512)
    assert "2 of them cut at 512 tokens" in said
    assert "1 more left out" in said
