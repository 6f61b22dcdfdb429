"""What an operator reads at the start says what is there, what works and what is missing."""

import pytest

from models.domain.errors import UnknownModel
from models.domain.settings import Settings
from models.runtime import Runtime
from models.startup import report, started
from models.weights.hub import access


def test_the_report(monkeypatch, tmp_path):
    monkeypatch.setattr(access, "_probe", lambda *asked: False)
    access.forget()
    runtime = Runtime(Settings(cache_dir=str(tmp_path), gated_models=("owner/gated",)))
    lines = list(report(runtime, {"PADDOCK_SLOTZ": "3", "PADDOCK_QUEUE": "4", "PATH": "/bin"}))
    access.forget()
    text = "\n".join(lines)
    assert lines[0].startswith("Hardware: CPU, ")
    assert "Modes of smollm2-135m-instruct: fp32, bf16" in text
    assert "Not here: fp16, since it needs cuda or mps" in text
    assert "PADDOCK_SLOTZ is no setting: is PADDOCK_SLOTS meant?" in text
    assert "PADDOCK_QUEUE" not in text
    assert "HF_TOKEN is not" in text
    assert "Hub cannot be reached" in text


def test_the_operator_may_list_the_models():
    listed = ("smollm2-135m-instruct", "gemma-3-270m")
    assert list(Runtime(Settings(models=listed)).catalog) == list(listed)
    for wrong in (Settings(models=("gemma-3-270m",)), Settings(models=("no-such",)), Settings(default_variant="x-y")):
        with pytest.raises(UnknownModel):
            Runtime(wrong)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("default_variant", "x-y", "no model called"),
        ("default_variant", "smollm2-135m-instruct@foo", "no such mode; there are fp32"),
        ("default_variant", "smollm2-135m-instruct+nosuch", "no adapter called"),
        ("default_variant", "owner/name", "PADDOCK_HUB_IDS=1"),
        ("packed", ("default", "none", "nonsense"), "no model called"),
        ("packed", ("owner/name",), "PADDOCK_HUB_IDS=1"),
        ("models", ("smollm2-135m-instruct", "no-such"), "no model called"),
        ("models_dir", "/nope", "is no folder"),
        ("model_folders", ("/nope",), "is no folder"),
    ],
)
def test_what_cannot_be_used_here_is_named_before_the_start(name, value, words, tmp_path):
    settings = Settings(cache_dir=str(tmp_path), hub_ids=False, **{name: value})
    with pytest.raises(ValueError, match=f"^PADDOCK_{name.upper()}=.*{words}"):
        started(settings)


def test_what_only_the_hub_knows_does_not_stop_the_start(tmp_path):
    places = {"cache_dir": str(tmp_path / "cache"), "models_dir": str(tmp_path), "model_folders": (str(tmp_path),)}
    for variant in ("smollm2-135m-instruct@gguf-new", "owner/name@foo", "smollm2-135m-instruct@bf16+owner/adapter"):
        settings = Settings(default_variant=variant, packed=("owner/name",), **places)
        assert started(settings).settings is settings
    mine = f"local/{Settings.local_name(tmp_path).partition('/')[2]}"
    started(Settings(default_variant=mine, hub_ids=False, **places))
