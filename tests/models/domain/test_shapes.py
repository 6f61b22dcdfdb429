"""Shapes of real models against their published totals, and what is counted of each kind of layer."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from models.domain.shapes.fields import BadConfig
from models.domain.shapes.read import KNOWN, WHOLES, entry_shape, read_shape

PUBLISHED: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("published.toml").read_text())


@pytest.mark.parametrize("repository", PUBLISHED)
def test_parameters_are_the_published_total(repository: str) -> None:
    assert entry_shape(PUBLISHED[repository]["config"]).parameters == PUBLISHED[repository]["parameters"]


@pytest.mark.parametrize(
    ("repository", "active"),
    [("Qwen/Qwen3-30B-A3B", 3.3e9), ("openai/gpt-oss-120b", 5.1e9), ("openai/gpt-oss-20b", 3.6e9)],
)
def test_active_parameters_are_those_of_the_model_cards(repository: str, active: float) -> None:
    """Qwen counts the embeddings, OpenAI the head alone (arXiv:2508.10925, table 1)."""
    shape = entry_shape(PUBLISHED[repository]["config"])
    counted = shape.active_parameters - (shape.embedding_parameters if "gpt" in repository else 0)
    assert counted == pytest.approx(active, rel=0.02)


def test_what_layers_keep_of_a_conversation() -> None:
    """By hand, of a Gemma 3 1B, an LFM2 350M and a Granite 4 Small in bf16."""
    gemma, lfm2, granite = (
        entry_shape(PUBLISHED[name]["config"])
        for name in ("google/gemma-3-1b-it", "LiquidAI/LFM2-350M", "ibm-granite/granite-4.0-h-small")
    )
    # Every sixth of 26 layers sees all: 4 layers; the 22 others the last 512 tokens. One head of 256, keys and values.
    assert gemma.kv_bytes(4096) == 2 * 2 * 256 * (4 * 4096 + 22 * 512)
    assert gemma.state_bytes() == 0
    # 6 layers of attention with 8 groups of 64, 10 convolutions over 3 tokens of 1024 values.
    assert (lfm2.kv_bytes(100), lfm2.state_bytes()) == (2 * 2 * 8 * 64 * 6 * 100, 2 * 10 * 1024 * 3)
    # 36 Mamba layers: a state of 8192 x 128 in fp32, and 4 tokens of 8192 + 2 x 128 values.
    assert granite.state_bytes() == 36 * (4 * 8192 * 128 + 2 * 4 * (8192 + 256))
    assert granite.kinds == {"Mamba": 36, "full attention": 4}


def test_the_text_part_of_a_model_that_sees() -> None:
    config = PUBLISHED["google/gemma-3-1b-it"]["config"]
    whole = {"model_type": "gemma3", "text_config": config, "vision_config": {}}
    assert read_shape(whole) == read_shape(config)
    assert not read_shape(whole | {"tie_word_embeddings": False}).tied_embeddings
    assert {text for one in WHOLES.values() for text in one.text} <= set(KNOWN)
    for bad in ({"text_config": None}, {"text_config": config | {"model_type": "llama"}}):
        with pytest.raises(BadConfig):
            read_shape(whole | bad)


@pytest.mark.parametrize(
    "change",
    [
        {"num_experts": 10**9},
        {"num_experts": "128"},
        {"head_dim": 1},
        {"num_hidden_layers": 513},
        {"layer_types": ["full_attention"]},
        {"layer_types": ["mamba"] * 48},
        {"mlp_only_layers": "all"},
        {"use_sliding_window": 1},
        {"num_key_value_heads": 5},
    ],
)
def test_absurd_sizes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadConfig, match=next(iter(change)).partition("_key")[0] + "|heads"):
        read_shape(PUBLISHED["Qwen/Qwen3-30B-A3B"]["config"] | change)
