"""The table of known models, read from catalog.toml; a new model is one entry there and no code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, InstanceOf, PlainValidator

from .checked_json import read_table
from .errors import ServedElsewhere, UnknownModel
from .languages import MANY, NAMES
from .load import Remote
from .shapes.read import entry_shape
from .shapes.shape import Shape

Kind = Literal["base", "instruct"]
Language = Annotated[str, Field(pattern=f"^({'|'.join((*NAMES, MANY))})$")]
CATALOG_FILE = Path(__file__).with_name("catalog.toml")
TOY_PARAMETERS = 400_000_000  # up to so many, a model's answers are fluent and often wrong
DEQUANTIZED = "bf16"  # what fp8 and mxfp4 weights become as they are loaded
# Of the parameters: a layer that predicts more tokens at once, which is in the files and not loaded, is up to 3 %.
COUNTING_TOLERANCE = 0.05


_GGUF_LABEL = re.compile(r"[.-]((?:I?Q\d(?:_\d|_[A-Z]{1,3}){1,2})|B?F16|F32|MXFP4)\.gguf$", re.IGNORECASE)


def gguf_label(file: str) -> str:
    """The quantization that a GGUF file's name ends with, like Q4_K_M; empty when there is none."""
    found = _GGUF_LABEL.search(whole_name(file))
    return found[1] if found else ""


@dataclass(frozen=True)
class GgufFile:
    """A GGUF form of the model on the Hub; `more` are labels of the other files there, spelled as in their names.

    `found` are (name, bytes) of those that the Hub itself has listed, of a model in several files the first.
    """

    repo: str
    file: str
    revision: str | None = None
    bytes: int | None = None
    more: tuple[str, ...] = ()
    found: tuple[tuple[str, int], ...] = ()

    @property
    def label(self) -> str:
        return gguf_label(self.file)

    def other(self, label: str) -> GgufFile:
        """The file of the same repository with another quantization."""
        for name, size in self.found:
            if gguf_label(name).lower() == label.lower():
                return GgufFile(self.repo, name, self.revision, size)
        return GgufFile(self.repo, f"{self._stem}{label}.gguf", self.revision)

    @property
    def _stem(self) -> str:
        return whole_name(self.file).removesuffix(".gguf").removesuffix(self.label)

    def among(self, sizes: Mapping[str, int]) -> GgufFile:
        """The same with all labels of the model in a repository's files, by their names and bytes.

        A split model often lies in a folder of its own; one that lacks a part is left out.
        """
        stem, found = self._stem.rpartition("/")[2].lower(), []
        for name in sizes:
            parts, label = part_names(name), gguf_label(name)
            whole = whole_name(name).rpartition("/")[2].lower()
            if name == parts[0] and label and whole == f"{stem}{label.lower()}.gguf" and sizes.keys() >= set(parts):
                found.append((name, sum(sizes[part] for part in parts)))
        labels = tuple(label for name, _ in found if (label := gguf_label(name)).lower() != self.label.lower())
        return replace(self, more=labels, found=tuple(found)) if found else self


@dataclass(frozen=True)
class GgufContents:
    """What the header of a GGUF file on this machine says: layers and caches as llama.cpp makes them, and bytes.

    `weights` are all of its tensors, `unread` those that a token does not read (tables but for a row, experts that it
    is not routed to), `repacked` those that llama.cpp copies into another order for a CPU. There is no shape for an
    architecture whose layers are not counted.
    """

    shape: Shape | None
    weights: int
    unread: int
    repacked: int


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
    shape: Annotated[Shape | None, PlainValidator(entry_shape)] = None
    licence_url: str = ""
    gated: bool = False
    revision: str | None = None
    gguf: GgufFile | None = None
    wheel: WheelFile | None = None
    quantized: tuple[Quantized, ...] = ()
    # The one mode that the repository's own weights are quantized for, DEQUANTIZED where they are fp8 or mxfp4; empty
    # when they are plain.
    checkpoint: str = ""
    dequantized: str = ""  # how its own files hold them then: fp8 or mxfp4
    label: str = ""  # of the GGUF file that the card is narrowed to; empty when any will do
    counted_parameters: int | None = None  # by the headers of its weight files, where they were read
    remote: Remote | None = None
    made_from: str = ""  # the plain repository, where the card is narrowed to one that is quantized already
    languages: tuple[Language, ...] = ()  # that its own card says it speaks; empty where none is stated
    text_only: bool = False  # the repository's model sees or hears too, and its text part alone is loaded
    stored: InstanceOf[GgufContents] | None = None  # the GGUF file here that a mode loads; `shape` is its shape then
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
        if counted and self.shape and self.shape.estimated:
            return counted
        return counted if counted > (1 + COUNTING_TOLERANCE) * computed else computed

    @property
    def active_parameters(self) -> int:
        """Those that a token uses: fewer than all in a mixture of experts."""
        if self.shape is None:
            return 0
        unused = self.shape.parameters - self.shape.active_parameters
        more = self.parameters / self.shape.parameters if self.shape.estimated else 1
        return self.parameters - round(more * unused)

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

    def only(self, keys: Collection[str]) -> Catalog:
        """The cards of these keys, all where there are none; raises UnknownModel."""
        return Catalog([self[key] for key in keys]) if keys else self

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
