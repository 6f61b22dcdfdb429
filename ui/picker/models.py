"""The models as a list to search: what each is, what it takes on the chosen hardware, and what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence

from models.domain.memory.model_info import ModelInfo
from models.domain.units import parameter_count, size

from ..shared.language import say
from .combobox import YES, Filter, Free, Option, combobox

# Classes of size by their upper ends, in parameters.
SIZES = (("≤ 1B", 1.05e9), ("1–4B", 4.7e9), ("5–10B", 10e9), ("> 10B", float("inf")))
SPELLING = r"\S+[/@]\S+"  # a Hub id, its address, or a whole variant


def model_box(models: Sequence[ModelInfo], picked: str, name: str = "model") -> str:
    """The search for a model, in the order of the catalog, which groups them by family."""
    families = dict.fromkeys(model.family for model in models)
    filters = (
        Filter("family", say("All families"), {family: family for family in families}),
        Filter("size", say("Any size"), {key: key for key, _ in SIZES}),
        Filter("kind", say("Chat and base"), {"instruct": say("chat"), "base": say("base")}),
        Filter("fits", say("fits")),
        Filter("free", say("not gated")),
    )
    lines, empty = list(map(_line, models)), say("No model of the list is left by these filters.")
    return combobox(name, say("Model"), lines, picked, Free(SPELLING, say("Use {}")), filters, empty)


def sizes(model: ModelInfo) -> str:
    """All parameters, and for a mixture of experts those that a token uses: 30.5B-A3.3B."""
    if not model.parameters:
        return ""
    mixture = 0 < model.active_parameters < model.parameters
    return parameter_count(model.parameters) + (f"-A{parameter_count(model.active_parameters)}" if mixture else "")


def fit_sign(fits: bool, tight: bool) -> tuple[str, str]:
    """A sign and its word."""
    return ("~", say("tight")) if tight else ("✓", say("fits")) if fits else ("✗", say("does not fit"))


def _line(model: ModelInfo) -> Option:
    offer = model.plans.get(model.auto)
    sign, word = fit_sign(model.fits, bool(offer and offer.tight))
    aside = f"{size(offer.needed)} {sign}" if offer and offer.needed else say("not available") if not offer else ""
    badges = [
        say("base") if model.kind == "base" else say("chat"),
        sizes(model),
        model.licence,
        say("gated") if model.gated and not model.without_hub else "",
        say("on this machine") if model.on_this_machine else say("works offline") if model.without_hub else "",
    ]
    hover = say("{size} must be free: {fit}", size=size(offer.needed), fit=word) if offer and offer.needed else ""
    fits = bool(offer and offer.fits)
    facets = {"family": model.family, "size": next(key for key, most in SIZES if model.parameters <= most)}
    facets |= {"kind": model.kind, "fits": YES * fits, "free": YES * (not model.gated)}
    return Option(model.key, model.title, aside, " · ".join(filter(None, badges)), hover, model.family, fits, facets)
