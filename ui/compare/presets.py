"""Lists of variants that people compare, made of what is picked: plain data in, variants out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.domain.errors import ModeNotPossible
from models.domain.memory.hardware import Hardware
from models.domain.memory.model_info import ModelInfo, fitting
from models.domain.variant import AUTO, AdapterChoice, Variant

from ..shared.language import say

if TYPE_CHECKING:
    from models.runtime import Runtime

ALIKE = 0.1  # of the parameters: a chat model may have a few more embeddings than its base
SWEEP = (0.0, 0.5, 1.0, 1.5)  # strengths of one adapter


def explicit(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Variant:
    """The variant with the quantization that `auto` means on the hardware, so that the list says what is compared."""
    return runtime.resolve(picked, runtime.card(picked), hardware)[0]


def sizes(models: Sequence[ModelInfo], key: str) -> list[Variant]:
    """The models of the same family and kind that fit, the smallest first."""
    own = _named(models, key)
    if own is None:
        return []
    relatives = [model for model in models if (model.family, model.kind) == (own.family, own.kind)]
    fitting = [model for model in relatives if model.auto and model.plans[model.auto].fits]
    return [Variant(model.key, model.auto) for model in sorted(fitting, key=lambda model: model.parameters)]


def with_adapters(base: Variant, adapters: Sequence[AdapterChoice]) -> list[Variant]:
    """A base, and the same with each of some adapters alone."""
    return [base, *(replace(base, adapters=(adapter,)) for adapter in adapters)] if adapters else []


def strengths(picked: Variant) -> list[Variant]:
    """The first adapter of a variant at several strengths; the others stay as they are."""
    if not picked.adapters:
        return []
    first, *others = picked.adapters
    return [replace(picked, adapters=(AdapterChoice(first.name, weight), *others)) for weight in SWEEP]


def base_and_chat(models: Sequence[ModelInfo], key: str, mode: str = AUTO) -> list[Variant]:
    """The base model and the chat model of one size, in one quantization where both have it."""
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
    shared = all(mode in model.plans for model in pair)
    return [Variant(model.key, mode if shared else model.auto or AUTO) for model in pair] if others else []


def _named(models: Sequence[ModelInfo], key: str) -> ModelInfo | None:
    return next((model for model in models if key in (model.key, model.hub_id)), None)


# --- of the Runtime: the list, and why it is too short where it is -------------------------------------------


Made = tuple[list[Variant], str]


def _where(hardware: Hardware | None) -> str:
    return hardware.title if hardware is not None else say("this machine")


def _sizes(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    lacking = say(
        "No second size of the family of {model} fits {hardware}.", model=picked.model, hardware=_where(hardware)
    )
    return sizes(runtime.models(hardware), picked.model), lacking


def _modes(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    plans = runtime.describe(runtime.card(picked), picked.adapters, hardware).plans
    lacking = say(
        "Fewer than two quantizations of {model} fit {hardware}.", model=picked.model, hardware=_where(hardware)
    )
    return [picked.resolved(name) for name in fitting(plans, runtime.settings.compared)], lacking


def _adapters(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    """Those that are picked, with their strengths, before those that are listed for the model."""
    own = {adapter.name: adapter for adapter in picked.adapters}
    listed = {entry.key: AdapterChoice(entry.key) for entry in runtime.adapters(picked)}
    adapters = list((own | {name: choice for name, choice in listed.items() if name not in own}).values())
    lacking = say(
        "No adapter of {model} is listed. Upload one, or list those on the Hub, under More adapters.",
        model=picked.model,
    )
    if not adapters:
        return [], lacking
    base = _taking_adapters(runtime, replace(picked, adapters=(adapters[0],)), hardware).without_adapters
    return with_adapters(base, adapters), lacking


def _strengths(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    lacking = say("Pick an adapter first: this list compares it at the strengths 0, 0.5, 1 and 1.5.")
    return strengths(_taking_adapters(runtime, picked, hardware)) if picked.adapters else [], lacking


def _taking_adapters(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Variant:
    """The same for all that differ by adapters only, so that it is loaded once; a mode that takes none gives way."""
    try:
        return explicit(runtime, picked, hardware)
    except ModeNotPossible:
        return explicit(runtime, picked.resolved(AUTO), hardware)


def _kinds(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    lacking = say("{model} has no counterpart: a base model and a chat model of one size.", model=picked.model)
    mode = explicit(runtime, picked.without_adapters, hardware).quantization
    return base_and_chat(runtime.models(hardware), picked.model, mode), lacking


PRESETS: dict[str, Callable[[Any, Variant, Hardware | None], Made]] = {
    "modes": _modes,
    "sizes": _sizes,
    "adapters": _adapters,
    "strengths": _strengths,
    "kinds": _kinds,
}
