"""The table of known models, read from catalog.toml; a new model is one entry there and no code."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import UnknownModel

Kind = Literal["base", "instruct"]
CATALOG_FILE = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama-like decoder, enough to count its parameters without its weights."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied_embeddings: bool
    qkv_bias: bool = False
    norms_per_layer: int = 2
    qk_norm: bool = False

    @property
    def parameters(self) -> int:
        """Exact number of parameters, tied embeddings counted once."""
        query, key_value = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = self.hidden * (2 * query + 2 * key_value) + self.qkv_bias * (query + 2 * key_value)
        norms = self.norms_per_layer * self.hidden + self.qk_norm * 2 * self.head_dim
        layer = attention + 3 * self.hidden * self.intermediate + norms
        embeddings = self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)
        return embeddings + self.layers * layer + self.hidden

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Bytes of KV cache that one token of context takes, in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_per_value


@dataclass(frozen=True)
class GgufFile:
    """A GGUF form of the model on the Hub."""

    repo: str
    file: str
    revision: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class WheelFile:
    """A GGUF file that Python packages carry, for machines that do not reach the Hub.

    `parts` are (requirement, path inside the wheel), concatenated in order; `sha256` is of the whole.
    """

    parts: tuple[tuple[str, str], ...]
    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Quantized:
    """A repository that holds the same model already quantized (GPTQ, AWQ)."""

    method: str
    repo: str
    revision: str | None = None


@dataclass(frozen=True)
class ModelCard:
    """What the app knows of a model before anything is downloaded."""

    key: str
    title: str
    family: str
    kind: Kind
    hub_id: str
    licence: str
    context: int
    shape: Shape
    licence_url: str = ""
    gated: bool = False
    revision: str | None = None
    gguf: GgufFile | None = None
    wheel: WheelFile | None = None
    quantized: tuple[Quantized, ...] = ()

    @property
    def parameters(self) -> int:
        return self.shape.parameters

    @property
    def is_base(self) -> bool:
        return self.kind == "base"


class Catalog(Mapping[str, ModelCard]):
    """Model cards by key, in the order of the file."""

    def __init__(self, cards: tuple[ModelCard, ...]) -> None:
        self._cards = {card.key: card for card in cards}

    def __getitem__(self, key: str) -> ModelCard:
        """The card; raises UnknownModel, which suggests the nearest key."""
        try:
            return self._cards[key]
        except KeyError:
            near = difflib.get_close_matches(key.lower(), self._cards, n=3, cutoff=0.5)
            suggestion = f"Did you mean {' or '.join(near)}?" if near else "Pick one from the list."
            raise UnknownModel(model=key, suggestion=suggestion) from None

    def get(self, key: str, default: ModelCard | None = None) -> ModelCard | None:  # type: ignore[override]
        """The card or `default`; Mapping's own would let UnknownModel through."""
        return self._cards.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._cards

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)


@cache
def load_catalog(path: Path = CATALOG_FILE) -> Catalog:
    """Read and check the table; an entry with a missing, unknown or wrong field is a ValueError that names it."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Catalog(tuple(_card(key, entry) for key, entry in table.items()))


def _card(key: str, entry: dict[str, Any]) -> ModelCard:
    try:
        values = dict(entry)
        values["shape"] = Shape(**values["shape"])
        if "gguf" in values:
            values["gguf"] = GgufFile(**values["gguf"])
        if "wheel" in values:
            wheel = dict(values["wheel"])
            wheel["parts"] = tuple((part["requirement"], part["path"]) for part in wheel["parts"])
            values["wheel"] = WheelFile(**wheel)
        values["quantized"] = tuple(Quantized(**form) for form in values.get("quantized", ()))
        card = ModelCard(key=key, **values)
        if card.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {', '.join(get_args(Kind))}")
        if not isinstance(card.context, int) or card.context < 1:
            raise ValueError("context is a number of tokens")
        return card
    except (TypeError, KeyError, ValueError) as error:
        known = ", ".join(f.name for f in fields(ModelCard))
        raise ValueError(f"catalog entry {key}: {error} (fields: {known})") from error
