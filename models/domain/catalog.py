"""The table of known models, read from catalog.toml; a new model is one entry there and no code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .checked_json import read_table
from .errors import ServedElsewhere, UnknownModel
from .languages import MANY, NAMES
from .load import Remote

Kind = Literal["base", "instruct"]
Language = Annotated[str, Field(pattern=f"^({'|'.join((*NAMES, MANY))})$")]
CATALOG_FILE = Path(__file__).with_name("catalog.toml")
TOY_PARAMETERS = 400_000_000  # up to so many, a model's answers are fluent and often wrong
COUNTING_TOLERANCE = 0.02  # of the parameters: a bias that the shape does not know is less, a layer is more


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
    o_bias: bool = False
    mlp_bias: bool = False
    norms_per_layer: int = 2
    qk_norm: bool = False
    sliding_window: int = 0  # tokens that the layers of `sliding_layers` see; 0 is all
    sliding_layers: int = 0

    @property
    def parameters(self) -> int:
        """Exact number of parameters, tied embeddings counted once."""
        linear = self.layers * sum(rows * columns for rows, columns in self.linears)
        return linear + self.small_parameters + self.embedding_parameters * (1 if self.tied_embeddings else 2)

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of the seven matrices of one layer: these are what a mode quantizes."""
        query, key_value = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = ((query, self.hidden), (key_value, self.hidden), (key_value, self.hidden), (self.hidden, query))
        return (*attention, *[(self.intermediate, self.hidden)] * 2, (self.hidden, self.intermediate))

    @property
    def embedding_parameters(self) -> int:
        """Of the input embeddings; the head has as many where it is not tied to them."""
        return self.vocabulary * self.hidden

    @property
    def small_parameters(self) -> int:
        """Norms and biases of all layers, and the last norm."""
        biases = self.qkv_bias * (self.heads + 2 * self.kv_heads) * self.head_dim
        biases += self.o_bias * self.hidden + self.mlp_bias * (2 * self.intermediate + self.hidden)
        norms = self.norms_per_layer * self.hidden + self.qk_norm * 2 * self.head_dim
        return self.layers * (norms + biases) + self.hidden

    def kv_bytes(self, context: int, bytes_per_value: int = 2) -> int:
        """Bytes of the KV cache of one sequence; layers with a sliding window keep no more than it."""
        seen = (self.layers - self.sliding_layers) * context
        seen += self.sliding_layers * min(context, self.sliding_window or context)
        return 2 * seen * self.kv_heads * self.head_dim * bytes_per_value


_GGUF_LABEL = re.compile(r"[.-]((?:I?Q\d(?:_\d|_[A-Z]{1,3}){1,2})|B?F16|F32)\.gguf$", re.IGNORECASE)


def gguf_label(file: str) -> str:
    """The quantization that a GGUF file's name ends with, like Q4_K_M; empty when there is none."""
    found = _GGUF_LABEL.search(whole_name(file))
    return found[1] if found else ""


@dataclass(frozen=True)
class GgufFile:
    """A GGUF form of the model on the Hub; `more` are labels of the other files there, spelled as in their names."""

    repo: str
    file: str
    revision: str | None = None
    bytes: int | None = None
    more: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return gguf_label(self.file)

    def other(self, label: str) -> GgufFile:
        """The file of the same repository with another quantization."""
        stem = self.file.removesuffix(".gguf").removesuffix(self.label)
        return GgufFile(self.repo, f"{stem}{label}.gguf", self.revision)


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
    """A repository that holds the same model already quantized; `method` is the mode that loads it (gptq, awq)."""

    method: str
    repo: str
    revision: str | None = None
    bits: int = 4
    group: int = 128  # weights that share a scale


@dataclass(frozen=True)
class ModelCard:
    """What the app knows of a model before anything is downloaded.

    A model that another machine serves has a `remote` instead of a shape and files; its size may not be known.
    """

    key: str
    title: str
    family: str
    kind: Kind
    hub_id: str
    licence: str
    context: Annotated[int, Field(ge=1)]
    shape: Shape | None = None
    licence_url: str = ""
    gated: bool = False
    revision: str | None = None
    gguf: GgufFile | None = None
    wheel: WheelFile | None = None
    quantized: tuple[Quantized, ...] = ()
    checkpoint: str = ""  # the one mode that the repository's own weights are quantized for; empty when plain
    label: str = ""  # of the GGUF file that the card is narrowed to; empty when any will do
    counted_parameters: int | None = None  # by the headers of its weight files, where they were read
    remote: Remote | None = None
    made_from: str = ""  # the plain repository, where the card is narrowed to one that is quantized already
    languages: tuple[Language, ...] = ()  # that its own card says it speaks; empty where none is stated
    listed: bool = False  # in a catalog: its chat template is the operator's choice, not a visitor's

    def __post_init__(self) -> None:
        if self.shape is None and self.remote is None:
            raise ValueError("it needs a shape, or a remote that serves it")

    @property
    def parameters(self) -> int:
        """By the shape, or by the files where they are known to hold more; a loader makes what the shape has anyway.

        0 where neither is known.
        """
        counted, computed = self.counted_parameters or 0, self.shape.parameters if self.shape else 0
        return counted if counted > (1 + COUNTING_TOLERANCE) * computed else computed

    @property
    def sizes(self) -> Shape:
        """The shape of a model whose weights can be here; raises ServedElsewhere."""
        if self.shape is None:
            raise ServedElsewhere(model=self.key)
        return self.shape

    @property
    def is_base(self) -> bool:
        return self.kind == "base"


class Catalog(dict[str, ModelCard]):
    """Model cards by key, in the order of the file; a key that it lacks raises UnknownModel."""

    def __init__(self, cards: Iterable[ModelCard]) -> None:
        super().__init__({card.key: replace(card, listed=True) for card in cards})

    def __missing__(self, key: str) -> ModelCard:
        near = difflib.get_close_matches(key.lower(), self, n=3, cutoff=0.5)
        suggestion = f"Did you mean {' or '.join(near)}?" if near else "Pick one from the list."
        raise UnknownModel(model=key, suggestion=suggestion)

    @property
    def good(self) -> ModelCard | None:
        """The smallest chat model that answers well and that packages carry, so that anybody can have it."""
        fitting = [card for card in self.values() if card.wheel and not card.is_base and not is_toy(card.parameters)]
        return min(fitting, key=lambda card: card.parameters, default=None)


def is_toy(parameters: int) -> bool:
    """Whether a model is good for trying the page and little else; one of unknown size is none."""
    return 0 < parameters <= TOY_PARAMETERS


@cache
def load_catalog(path: Path = CATALOG_FILE) -> Catalog:
    """Read and check the table; an entry with a missing, unknown or wrong field is a ValueError that names it."""
    return Catalog(read_table(path, ModelCard).values())


MOST_PARTS = 1000
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def part_names(name: str) -> list[str]:
    """The names of all files of the model that a file belongs to, in order; of an ordinary file its own."""
    found = _PART.fullmatch(name)
    count = int(found["count"]) if found else 0
    if not found or not 1 <= int(found["number"]) <= count <= MOST_PARTS:
        return [name]
    return [f"{found['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def part_files(path: Path) -> list[Path]:
    """The same as paths; that they are there is not said."""
    return [path.with_name(name) for name in part_names(path.name)]


def whole_name(name: str) -> str:
    """The name that a model in several files would have as one."""
    found = _PART.fullmatch(name)
    return f"{found['stem']}.gguf" if found else name
