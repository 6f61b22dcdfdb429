"""Entries of the catalog against a Hub: what is the same says nothing, all that differs is told."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import pytest
import tiny_models
from fake_hub import FakeHub, Repo

from models.cli import check
from models.domain.catalog import Catalog, GgufFile, ModelCard, Quantized
from models.domain.errors import NothingCompared
from models.domain.settings import Settings
from models.runtime import Runtime

CARD = ModelCard(
    key="tiny",
    title="Tiny",
    family="Tiny",
    kind="instruct",
    hub_id=tiny_models.HUB_ID,
    licence="Apache-2.0",
    context=512,
    shape=tiny_models.SHAPE,
    gguf=GgufFile("tiny-org/gguf", "tiny-Q8_0.gguf", bytes=7, more=("Q4_0",)),
    quantized=(Quantized("gptq", "tiny-org/gptq"),),
)


@pytest.fixture
def there(hub: FakeHub) -> FakeHub:
    hub.repos[CARD.hub_id] = Repo(tiny_models.model_files())
    hub.repos["tiny-org/gguf"] = Repo({"tiny-Q8_0.gguf": b"GGUF123", "tiny-Q4_0.gguf": b"GGUF"})
    hub.repos["tiny-org/gptq"] = Repo({"config.json": b"{}"})
    return hub


def checked(settings: Settings, capsys: pytest.CaptureFixture[str], *cards: ModelCard) -> tuple[int, list[str]]:
    runtime = Runtime(settings, Catalog(cards or (CARD,)))
    status = check.run(runtime, argparse.Namespace(model=[], json=False))
    return status, capsys.readouterr().out.splitlines()


def test_an_entry_that_is_right(there: FakeHub, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(settings, capsys) == (0, ["1 as on the Hub, 0 differ, 0 not compared"])
    assert there.downloads("model.safetensors") == []
    less = replace(CARD, context=256, kind="base")  # a card may state less; and base models have templates too
    assert checked(settings, capsys, less)[0] == 0


def test_all_that_differs_is_told(there: FakeHub, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = replace(
        CARD,
        context=1024,
        licence="MIT",
        gated=True,
        shape=replace(CARD.sizes, vocabulary=CARD.sizes.vocabulary + 1),
        gguf=replace(CARD.gguf, bytes=8, more=("Q4_0", "Q6_K")),
        quantized=(Quantized("awq", "tiny-org/awq"),),
    )
    status, lines = checked(settings, capsys, wrong, replace(CARD, key="gone", hub_id="tiny-org/gone"))
    assert status == 1
    assert [line.split()[0] for line in lines[:-1]] == ["tiny"] * 7 + ["gone"]
    told = [line[33:] for line in lines[:-1]]
    fields = ["shape", "context", "gated", "licence", "awq", "gguf file", "gguf bytes", "repository"]
    assert [line.partition(":")[0] for line in told] == fields
    assert "context: 1,024 here, at most 512 on the Hub" in told
    assert "gguf file: tiny-Q6_K.gguf here, there is none on the Hub" in told
    assert lines[-1] == "0 as on the Hub, 2 differ, 0 not compared"


def test_what_may_not_be_read_is_not_compared(
    there: FakeHub, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there.repos[CARD.hub_id] = Repo(tiny_models.model_files(), gated=True, readers={"hf_mine"})
    gated = replace(CARD, gated=True)
    status, lines = checked(settings, capsys, gated)
    assert (status, lines[-1]) == (0, "0 as on the Hub, 0 differ, 1 not compared")
    assert "not compared" in lines[0]
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert checked(settings, capsys, gated) == (0, ["1 as on the Hub, 0 differ, 0 not compared"])


def test_for_programs_and_without_a_hub(
    there: FakeHub, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(settings, Catalog((CARD, replace(CARD, key="wrong", licence="MIT"))))
    assert check.run(runtime, argparse.Namespace(model=["wrong"], json=True)) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {"wrong": [{"field": "licence", "ours": "MIT", "theirs": "Apache-2.0"}]}
    there.status = 503
    from models.weights.hub import access

    access.forget()
    with pytest.raises(NothingCompared, match="no entry of the catalog"):
        check.run(runtime, argparse.Namespace(model=[], json=True))
