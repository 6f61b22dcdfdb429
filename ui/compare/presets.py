"""Lists of variants that people compare, from what the Runtime says of its models: plain data in, spellings out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from models.domain.memory.model_info import ModelInfo
from models.domain.variant import AUTO, AdapterChoice, Variant
from models.studies.compare import all_quantizations

if TYPE_CHECKING:
    from models.runtime import Runtime

ALIKE = 0.1  # of the parameters: a chat model may have a few more embeddings than its base


def sizes(models: Sequence[ModelInfo], key: str, most: int) -> list[str]:
    """The models of the same family and kind that fit here, the smallest first."""
    own = _named(models, key)
    if own is None:
        return []
    relatives = [model for model in models if (model.family, model.kind) == (own.family, own.kind)]
    fitting = [model for model in relatives if model.auto and model.plans[model.auto].fits]
    return [model.key for model in sorted(fitting, key=lambda model: model.parameters)][:most]


def with_adapters(base: Variant, names: Sequence[str], most: int) -> list[str]:
    """A base, and the same with each of its adapters."""
    return [str(base), *(f"{base}+{name}" for name in names)][:most] if names else []


def base_and_chat(models: Sequence[ModelInfo], key: str) -> list[str]:
    """The base model and the chat model of one size."""
    own = _named(models, key)
    if own is None:
        return []
    others = [
        model
        for model in models
        if model.family == own.family
        and model.kind != own.kind
        and abs(model.parameters - own.parameters) <= ALIKE * own.parameters
    ]
    pair = sorted([own, *others[:1]], key=lambda model: model.kind != "base")
    return [model.key for model in pair] if others else []


def _named(models: Sequence[ModelInfo], key: str) -> ModelInfo | None:
    return next((model for model in models if key in (model.key, model.hub_id)), None)


def _sizes(runtime: Runtime, picked: Variant) -> list[str]:
    return sizes(runtime.models(), picked.model, runtime.settings.compared)


def _modes(runtime: Runtime, picked: Variant) -> list[str]:
    return all_quantizations(runtime, picked, runtime.settings.compared)


def _adapters(runtime: Runtime, picked: Variant) -> list[str]:
    names = [entry.key for entry in runtime.adapters(picked)]
    if not names:
        return []
    described = runtime.describe(runtime.card(picked), (AdapterChoice(names[0]),))
    mode = picked.quantization if picked.quantization in described.modes else described.auto
    base = picked.without_adapters.resolved(mode or AUTO)  # the same for all, so that it is loaded once
    return with_adapters(base, names, runtime.settings.compared)


def _kinds(runtime: Runtime, picked: Variant) -> list[str]:
    return base_and_chat(runtime.models(), picked.model)


PRESETS: dict[str, tuple[Callable[[Any, Variant], list[str]], str]] = {
    "modes": (_modes, "runs in one mode only here"),
    "sizes": (_sizes, "has no second size that fits here"),
    "adapters": (_adapters, "has no adapters that are listed here"),
    "kinds": (_kinds, "has no counterpart: one is a base model, the other its chat model"),
}
