"""What a model is and what it would take here, as the picker, the API and the command line show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..catalog import Kind
from ..load import Form
from .speed import Speed

USUAL = ("fp32", "bf16", "int8", "nf4", "gguf")  # the modes that people choose between


@dataclass(frozen=True)
class Offer:
    """A mode of a model that can run: bytes of its weights, of the whole, and of what must be free, and how it fits.

    `tight` fits with less than a tenth of the memory left. `speed` is an estimate, where the bandwidth is known.
    """

    weights: int
    total: int
    fits: bool
    needed: int = 0
    tight: bool = False
    speed: Speed | None = None


@dataclass(frozen=True)
class ModelInfo:
    """One model on this machine; `refused` says of each mode that cannot run why, `auto` is empty where none can.

    `parameters` is 0 where it is not known, as of a model that another machine serves.
    """

    key: str
    title: str
    family: str
    kind: Kind
    hub_id: str
    parameters: int
    context: int
    context_here: int
    licence: str
    licence_url: str
    gated: bool
    auto: str
    plans: Mapping[str, Offer]
    refused: Mapping[str, str]
    without_hub: bool
    on_this_machine: tuple[Form, ...]
    languages: tuple[str, ...] = ()  # ISO 639-1, as its own card states them

    @property
    def modes(self) -> list[str]:
        """The modes that can run here, in the order of the table."""
        return list(self.plans)

    @property
    def fits(self) -> bool:
        """Whether any of its modes does."""
        return any(offer.fits for offer in self.plans.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for programs."""
        lists = {name: list(getattr(self, name)) for name in ("modes", "on_this_machine", "languages")}
        return asdict(self) | lists


def fitting(plans: Mapping[str, Offer], most: int) -> list[str]:
    """The modes that fit, the most exact first; the usual ones where there are more than `most`."""
    names = [name for name, offer in plans.items() if offer.fits]
    usual = [name for name in names if name in USUAL]
    return (usual if len(names) > most and len(usual) > 1 else names)[:most]
