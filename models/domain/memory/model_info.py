"""What a model is and what it would take here, as the picker, the API and the command line show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..catalog import Kind
from ..load import Form
from ..quantization import nominal_bits
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

    `parameters` is 0 where it is not known, as of a model that another machine serves; a token uses `active_parameters`
    of them.
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
    active_parameters: int = 0
    languages: tuple[str, ...] = ()  # ISO 639-1, as its own card states them
    free_disk: int = 0  # bytes, where its files would go

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


def by_exactness(plans: Mapping[str, Offer]) -> list[str]:
    """The modes from the one that keeps the most bits of a weight down; of equals, in the order of the table."""
    return sorted(plans, key=nominal_bits, reverse=True)


def each_file_once(plans: Mapping[str, Offer], keep: str = "") -> dict[str, Offer]:
    """Without a GGUF label that names the same file as another: two that need as much to the byte are one.

    The first stays, as `gguf` does, unless `keep` is one of them.
    """
    first: dict[tuple[int | str, str], str] = {}
    for name in sorted(plans, key=lambda name: name != keep):
        if name.startswith("gguf"):
            first.setdefault((plans[name].needed or name, name.partition("/")[2]), name)
    return {name: plans[name] for name in plans if not name.startswith("gguf") or name in first.values()}


def fitting(plans: Mapping[str, Offer], most: int) -> list[str]:
    """The modes that fit, the most exact first; the usual ones and GGUF files where there are more than `most`.

    None has a quantized KV cache.
    """
    names = [name for name in by_exactness(each_file_once(plans)) if plans[name].fits and "/" not in name]
    usual = [name for name in names if name in USUAL]
    if len(names) > most and len(usual) > 1:
        files = [name for name in names if name.startswith("gguf-")][: max(0, most - len(usual))]
        names = [name for name in names if name in (*usual, *files)]
    return names[:most]
