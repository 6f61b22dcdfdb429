"""Lists of variants that people compare, made of what is picked: plain data in, variants out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from models.domain.catalog import is_toy
from models.domain.errors import ModeNotPossible
from models.domain.memory.hardware import Hardware
from models.domain.memory.model_info import ModelInfo, each_file_once, fitting
from models.domain.results.comparison import MOST_COLUMNS
from models.domain.units import size
from models.domain.variant import AUTO, AdapterChoice, Variant

from ..picker.quantizations import refused
from ..shared.language import say

if TYPE_CHECKING:
    from models.runtime import Runtime

ALIKE = 0.1  # of the parameters: a chat model may have a few more embeddings than its base
STEP = 1.25  # by how much sizes have to differ
SWEEP = (0.0, 0.5, 1.0, 1.5)  # strengths of one adapter


def explicit(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Variant:
    """The variant with the quantization that `auto` means on the hardware, so that the list says what is compared."""
    return runtime.resolve(picked, runtime.card(picked), hardware)[0]


def sizes(models: Sequence[ModelInfo], key: str, most: int) -> list[Variant]:
    """The picked model and other sizes that fit, across families, the smallest first.

    Before others come models that can be had without the Hub, chat models, those of its family and those without a
    gate. Toys stand beside toys only, and beside one that can be had without the Hub only such, if there are any.
    """
    own = _named(models, key)
    if own is None:
        return []

    def elsewhere(model: ModelInfo) -> bool:
        return not (model.on_this_machine or model.without_hub)

    def rank(model: ModelInfo) -> tuple[bool, ...]:
        return (model is not own, elsewhere(model), model.kind == "base", model.family != own.family, model.gated)

    found: list[ModelInfo] = []
    for model in sorted((model for model in models if model.auto and model.fits), key=rank):
        toy = is_toy(model.parameters) and not is_toy(own.parameters)
        enough = elsewhere(model) and not elsewhere(own) and sum(not elsewhere(one) for one in found) > 1
        if not toy and not enough and len(found) < most and all(_apart(model, other) for other in found):
            found.append(model)
    return [Variant(model.key, model.auto) for model in sorted(found, key=lambda model: model.parameters)]


def _apart(one: ModelInfo, other: ModelInfo) -> bool:
    small, large = sorted((one.parameters, other.parameters))
    return large > STEP * small


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


class Made(NamedTuple):
    """The list, and why it is too short where it is."""

    variants: list[Variant]
    lacking: str


def _where(hardware: Hardware | None) -> str:
    return hardware.title if hardware is not None else say("this machine")


def _sizes(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    lacking = say("No other size than {model} fits {hardware}.", model=picked.model, hardware=_where(hardware))
    return Made(sizes(runtime.listing(hardware), picked.model, runtime.settings.compared), lacking)


def _modes(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    info = runtime.describe(runtime.card(picked), picked.adapters, hardware)
    lacking = say(
        "Fewer than two quantizations of {model} fit {hardware}.", model=picked.model, hardware=_where(hardware)
    )
    return Made([picked.resolved(name) for name in fitting(info.plans, MOST_COLUMNS)], lacking)


def not_available(runtime: Runtime, listed: Sequence[Variant], hardware: Hardware | None) -> str:
    """Why other quantizations are not there, in a list that has several of one model and nothing else; as HTML."""
    modes = {variant.quantization.partition("/")[0] for variant in listed}
    if len(modes) < 2 or len({variant.model for variant in listed}) > 1:
        return ""
    info = runtime.describe(runtime.card(listed[0]), listed[0].adapters, hardware)
    large = {
        name: say("it does not fit: {needed} must be free", needed=size(offer.needed))
        for name, offer in each_file_once(info.plans).items()
        if not offer.fits and "/" not in name and name not in modes
    }
    return refused({**info.refused, **large})


def _caches(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    """The GGUF file that is picked, or the first one, with each type of KV cache."""
    plans = runtime.describe(runtime.card(picked), (), hardware).plans
    lacking = say(
        "No GGUF file of {model} can run here, and only llama.cpp quantizes its KV cache.", model=picked.model
    )
    plain = explicit(runtime, picked, hardware).quantization.partition("/")[0]
    plain = plain if plain.startswith("gguf") else "gguf"
    return Made([picked.without_adapters.resolved(name) for name in plans if name.partition("/")[0] == plain], lacking)


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
        return Made([], lacking)
    base = _taking_adapters(runtime, replace(picked, adapters=(adapters[0],)), hardware).without_adapters
    return Made(with_adapters(base, adapters), lacking)


def with_base(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    """What is picked and the same without adapters, the base first."""
    variant = _taking_adapters(runtime, picked, hardware)
    lacking = say("Pick an adapter first: it is compared with its base.")
    return Made([variant.without_adapters, variant] if variant.adapters else [], lacking)


def _strengths(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    lacking = say("Pick an adapter first: this list compares it at the strengths 0, 0.5, 1 and 1.5.")
    return Made(strengths(_taking_adapters(runtime, picked, hardware)) if picked.adapters else [], lacking)


def _taking_adapters(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Variant:
    """The same for all that differ by adapters only, so that it is loaded once; a mode that takes none gives way."""
    try:
        return explicit(runtime, picked, hardware)
    except ModeNotPossible:
        return explicit(runtime, picked.resolved(AUTO), hardware)


def _kinds(runtime: Runtime, picked: Variant, hardware: Hardware | None) -> Made:
    lacking = say("{model} has no counterpart: a base model and a chat model of one size.", model=picked.model)
    mode = explicit(runtime, picked.without_adapters, hardware).quantization
    return Made(base_and_chat(runtime.models(hardware), picked.model, mode), lacking)


Preset = Callable[[Any, Variant, Hardware | None], Made]
PRESETS: dict[str, Preset] = {
    "modes": _modes,
    "sizes": _sizes,
    "caches": _caches,
    "adapters": _adapters,
    "strengths": _strengths,
    "kinds": _kinds,
}
