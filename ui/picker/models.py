"""The models as a list to search: what each is, what it takes on the chosen hardware, and what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence

from models.domain.memory.model_info import ModelInfo
from models.domain.units import size

from ..shared.language import say
from .combobox import Free, Option, combobox

SPELLING = r"\S+[/@]\S+"  # a Hub id, its address, or a whole variant


def model_box(models: Sequence[ModelInfo], picked: str, name: str = "model") -> str:
    """The search for a model, in the order of the catalog, which groups them by family."""
    return combobox(name, say("Model"), list(map(_line, models)), picked, Free(SPELLING, say("Use {}")))


def parameters(count: int) -> str:
    """A parameter count as the field writes it: 135M, 1.2B, 70B."""
    if count < 1_000_000_000:
        return f"{count / 1e6:.0f}M"
    return f"{count / 1e9:.1f}B".replace(".0B", "B")


def fit_sign(fits: bool, tight: bool) -> tuple[str, str]:
    """A sign and its word."""
    return ("~", say("tight")) if tight else ("✓", say("fits")) if fits else ("✗", say("does not fit"))


def _line(model: ModelInfo) -> Option:
    offer = model.plans.get(model.auto)
    sign, word = fit_sign(model.fits, bool(offer and offer.tight))
    aside = f"{size(offer.needed)} {sign}" if offer and offer.needed else say("not available") if not offer else ""
    badges = [
        say("base") if model.kind == "base" else say("chat"),
        parameters(model.parameters) if model.parameters else "",
        model.licence,
        say("gated") if model.gated and not model.without_hub else "",
        say("on this machine") if model.on_this_machine else say("works offline") if model.without_hub else "",
    ]
    hover = say("{size} must be free: {fit}", size=size(offer.needed), fit=word) if offer and offer.needed else ""
    return Option(
        model.key, model.title, aside, " · ".join(filter(None, badges)), hover, model.family, bool(offer and offer.fits)
    )
