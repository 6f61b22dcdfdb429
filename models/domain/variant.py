"""The variant: model x quantization x adapters, and its one spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .errors import BadSpelling, ModelIsAPath

AUTO = "auto"
ADAPTER_WEIGHT_BOUNDS = (-2.0, 2.0)
ADAPTERS_MAX = 4  # in one variant
LONGEST_SPELLING = 500  # characters; longer text is refused before any regular expression sees it

_KEY = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_MODEL = re.compile(rf"{_KEY}(?:/{_KEY}(?:=[A-Za-z0-9][A-Za-z0-9._-]{{0,95}})?)?")
_QUANTIZATION = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}(?:/[a-z0-9]{1,8})?")
_PATH_MARKS = ("://", "\\", "..", "~", "//")


@dataclass(frozen=True)
class AdapterChoice:
    """One LoRA adapter by name, with its strength."""

    name: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        low, high = ADAPTER_WEIGHT_BOUNDS
        good = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not good or not low <= self.weight <= high:  # NaN is within no bounds
            raise BadSpelling(text=str(self)[:80], reason=f"an adapter's weight is a number from {low:g} to {high:g}")
        _check_name(self.name, str(self), "an adapter")

    def __str__(self) -> str:
        return self.name if self.weight == 1 else f"{self.name}:{self.weight!r}".removesuffix(".0")


@dataclass(frozen=True)
class Variant:
    """What is picked, shared and compared; `Variant.parse(str(v)) == v` always holds.

    `model` is a catalog key, in lower case however it is typed, or a Hub id `owner/name[=revision]`; `quantization` is
    a mode's name, and a type of KV cache where one is wanted, as in gguf/kv8. Raises BadSpelling or ModelIsAPath for
    parts that could not be spelled.
    """

    model: str
    quantization: str = AUTO
    adapters: tuple[AdapterChoice, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.model, self.model, "a model")
        if not self.is_hub_id:
            object.__setattr__(self, "model", self.model.lower())
        if not _QUANTIZATION.fullmatch(self.quantization):
            raise BadSpelling(text=self.quantization[:80], reason="a quantization is a name like nf4, gguf or gguf/kv8")
        names = [adapter.name for adapter in self.adapters]
        if len(set(names)) < len(names):
            raise BadSpelling(text=str(self)[:80], reason="an adapter is named twice")
        if len(names) > ADAPTERS_MAX:
            raise BadSpelling(text=str(self)[:80], reason=f"it names {len(names)} adapters, more than {ADAPTERS_MAX}")
        if len(str(self)) > LONGEST_SPELLING:
            raise BadSpelling(text=str(self)[:40] + "…", reason=f"it is longer than {LONGEST_SPELLING} characters")

    def __str__(self) -> str:
        mode = "" if self.quantization == AUTO else f"@{self.quantization}"
        return f"{self.model}{mode}" + "".join(f"+{adapter}" for adapter in self.adapters)

    @property
    def is_hub_id(self) -> bool:
        return "/" in self.model

    @property
    def without_adapters(self) -> Variant:
        """The base that the adapters act on; it is what is loaded."""
        return replace(self, adapters=())

    def resolved(self, quantization: str) -> Variant:
        """The same variant with `auto` replaced by the mode that it means here."""
        return replace(self, quantization=quantization)

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read `MODEL[@QUANT[/KV]][+ADAPTER[:WEIGHT]]...`."""
        if not isinstance(text, str):
            raise BadSpelling(text=str(text)[:40], reason="it is not text")
        text = text.strip()
        if not text:
            raise BadSpelling(text=text, reason="it is empty")
        if len(text) > LONGEST_SPELLING:
            raise BadSpelling(text=text[:40] + "…", reason=f"it is longer than {LONGEST_SPELLING} characters")
        head, *tail = text.split("+")
        model, at, quantization = head.partition("@")
        if at and not quantization:
            raise BadSpelling(text=text, reason="nothing follows the @")
        try:
            return cls(model, quantization or AUTO, tuple(_parse_adapter(part) for part in tail))
        except BadSpelling as error:  # a part that is wrong is found faster in the whole
            raise BadSpelling(text=_short(text), reason=error.facts["reason"]) from None


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"


def _parse_adapter(part: str) -> AdapterChoice:
    name, colon, weight = part.partition(":")
    try:
        return AdapterChoice(name, float(weight) if colon else 1.0)
    except ValueError:
        raise BadSpelling(text=part, reason=f"“{weight}” is not a number") from None


def _check_name(name: str, text: str, what: str) -> None:
    if any(mark in name for mark in _PATH_MARKS) or name.startswith(("/", ".")) or name.count("/") > 1:
        raise ModelIsAPath(model=name[:80])
    if not _MODEL.fullmatch(name):
        raise BadSpelling(text=text[:80], reason=f"{what} is a catalog name or a Hub id owner/name[=revision]")
