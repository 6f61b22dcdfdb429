"""What an operator reads at the start says what is there, what works and what is missing."""

import pytest

from models.domain.errors import UnknownModel
from models.domain.settings import Settings
from models.runtime import Runtime
from models.startup import report
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
