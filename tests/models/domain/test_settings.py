"""Settings come from PADDOCK_* variables, and a value that cannot be used is named."""

from dataclasses import fields
from pathlib import Path

import pytest

from models.domain.settings import Settings
from models.domain.variant import Variant

VALUES = {  # field: (text, value)
    "default_variant": ("qwen2.5-0.5b-instruct@gguf", "qwen2.5-0.5b-instruct@gguf"),
    "cache_dir": ("/data/cache", "/data/cache"),
    "disk_gb": ("20", 20.0),
    "models_dir": ("/data/models", "/data/models"),
    "model_folders": ("/data/mine, stories", ("/data/mine", "stories")),
    "adapters_dir": ("/data/adapters", "/data/adapters"),
    "uploads": ("0", False),
    "adapter_mb": ("10", 10.0),
    "attached_mb": ("100.5", 100.5),
    "attached": ("3", 3),
    "models": ("smollm2-135m-instruct,gemma-3-270m", ("smollm2-135m-instruct", "gemma-3-270m")),
    "operator_key": ("secret", "secret"),
    "hub_ids": ("off", False),
    "gated_models": (
        " meta-llama/Llama-3.2-1B, google/gemma-3-270m,,",
        ("meta-llama/Llama-3.2-1B", "google/gemma-3-270m"),
    ),
    "sign_in": ("off", "off"),
    "hub_timeout_s": ("0.5", 0.5),
    "context": ("8192", 8192),
    "max_characters": ("1000", 1000),
    "max_new_tokens": ("64", 64),
    "compared": ("3", 3),
    "away_s": ("60", 60.0),
    "max_turns": ("10", 10),
    "time_limit_s": ("30", 30.0),
    "slots": ("8", 8),
    "queue": ("5", 5),
    "openai": ("0", False),
    "mcp": ("0", False),
    "frame_ancestors": ("'self' https://example.org", "'self' https://example.org"),
    "link_key": ("sixteen letters.", "sixteen letters."),
    "locked_only": ("1", True),
    "api_keys": ("one, two", ("one", "two")),
    "requests_at_once": ("2", 2),
    "threads": ("2", 2),
    "memory_fraction": ("0.5", 0.5),
    "load_anyway": ("1", True),
    "gpu_seconds": ("90", 90),
    "packed": ("a@bf16, b@nf4", ("a@bf16", "b@nf4")),
    "pack_seconds": ("600", 600),
    "gpu_memory_gb": ("96", 96.0),
    "workshop": ("0", False),
    "processes": ("2", 2),
    "join_s": ("2.5", 2.5),
    "preload": ("No", False),
}


NEEDS = {"locked_only": {"PADDOCK_LINK_KEY": "sixteen letters."}}


def test_every_field_is_tested():
    assert set(VALUES) == {f.name for f in fields(Settings)}


@pytest.mark.parametrize("name", VALUES)
def test_each_variable(name):
    text, value = VALUES[name]
    settings = Settings.from_env({f"PADDOCK_{name.upper()}": text} | NEEDS.get(name, {}))
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value)
    assert settings != Settings()


@pytest.mark.parametrize("env", [{}, {"PADDOCK_CONTEXT": ""}, {"PADDOCK_NO_SUCH_THING": "1"}, {"CONTEXT": "1"}])
def test_defaults(env):
    assert Settings.from_env(env) == Settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("context", "lots"),
        ("context", "4096.5"),
        ("queue", "-1"),
        ("queue", "0"),
        ("context", "0"),
        ("time_limit_s", "soon"),
        ("time_limit_s", "nan"),
        ("hub_timeout_s", "0"),
        ("memory_fraction", "-0.5"),
        ("memory_fraction", "1.5"),
        ("preload", "2"),
        ("sign_in", "1"),
        ("sign_in", "oauth"),
        ("compared", "0"),
        ("gpu_seconds", "100000"),
        ("default_variant", "a model"),
        ("packed", "x y"),
        ("gated_models", "nonsense"),
        ("frame_ancestors", "; script-src x"),
    ],
)
def test_bad_value_is_named(name, text):
    with pytest.raises(ValueError, match=f"PADDOCK_{name.upper()}=.?{text}"):
        Settings.from_env({f"PADDOCK_{name.upper()}": text})


@pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
def test_words_for_yes(word):
    assert Settings.from_env({"SPACE_ID": "me/paddock", "PADDOCK_HUB_IDS": word}).hub_ids


@pytest.mark.parametrize("text", ["*", "'none'", "https://*.example.org:8443/a  http:"])
def test_pages_that_may_embed(text):
    assert Settings.from_env({"PADDOCK_FRAME_ANCESTORS": text}).frame_ancestors == text


def test_public_space():
    settings = Settings.from_env({"SPACE_ID": "me/paddock"})
    assert (settings.hub_ids, settings.openai, settings.workshop) == (False, False, False)
    assert settings.preload, "its model is there as soon as its page"
    assert Settings.from_env({"SPACE_ID": "me/paddock", "PADDOCK_HUB_IDS": "1"}).hub_ids
    assert Settings.from_env({"SPACE_ID": "me/paddock", "OAUTH_CLIENT_ID": "id"}).sign_in == "oauth"


def test_zerogpu_computes_for_nobody_who_has_gone_or_has_not_come():
    settings = Settings.from_env({"SPACE_ID": "me/paddock", "SPACES_ZERO_GPU": "true"})
    assert (settings.away_s, settings.preload) == (0, False)


def test_places_and_threads(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Settings().cache == tmp_path / "paddock"
    assert Settings(cache_dir="/data").cache == Path("/data")
    assert Settings(threads=3).compute_threads == 3
    assert Settings().compute_threads >= 1


def test_default_variant_can_be_spelled():
    assert Variant.parse(Settings().default_variant)
