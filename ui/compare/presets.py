"""Lists of variants that people compare, from what the Runtime says of its models: plain data in, spellings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.domain.variant import Variant

USUAL = ("fp32", "bf16", "int8", "nf4", "gguf")  # what people choose between
ALIKE = 0.1  # of the parameters: a chat model may have a few more embeddings than its base

Described = Mapping[str, Any]


def sizes(models: Sequence[Described], key: str, most: int) -> list[str]:
    """The models of the same family and kind that fit here, the smallest first."""
    own = _named(models, key)
    if own is None:
        return []
    relatives = [model for model in models if (model["family"], model["kind"]) == (own["family"], own["kind"])]
    fitting = [model for model in relatives if model["plans"].get(model["auto"], {}).get("fits")]
    return [model["key"] for model in sorted(fitting, key=lambda model: model["parameters"])][:most]


def modes(model: str, plans: Mapping[str, Described], most: int) -> list[str]:
    """A model in the usual modes that fit; in all that do where too few of those are usual."""
    fitting = [name for name, planned in plans.items() if planned["fits"]]
    usual = [name for name in USUAL if name in fitting]
    return [f"{model}@{name}" for name in (usual if len(usual) > 1 else fitting)][:most]


def with_adapters(base: Variant, names: Sequence[str], most: int) -> list[str]:
    """A base, and the same with each of its adapters."""
    return [str(base), *(f"{base}+{name}" for name in names)][:most] if names else []


def base_and_chat(models: Sequence[Described], key: str) -> list[str]:
    """The base model and the chat model of one size."""
    own = _named(models, key)
    if own is None:
        return []
    others = [
        model
        for model in models
        if model["family"] == own["family"]
        and model["kind"] != own["kind"]
        and abs(model["parameters"] / own["parameters"] - 1) <= ALIKE
    ]
    pair = sorted([own, *others[:1]], key=lambda model: model["kind"] != "base")
    return [model["key"] for model in pair] if others else []


def _named(models: Sequence[Described], key: str) -> Described | None:
    return next((model for model in models if key in (model["key"], model["hub_id"])), None)
