"""What an engine is made from, and where it computes: weights on this machine, or a model that another one serves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .lora import LoraConfig
from .settings import Settings
from .variant import AdapterChoice


@dataclass(frozen=True)
class Room:
    """Bytes that a model is counted with: `total` while it answers, `weights` of them once it is loaded."""

    total: int
    weights: int = 0


@dataclass(frozen=True)
class Local:
    """Checked weights here, held as `mode` says, for `slots` conversations of `context` tokens.

    `room` is what the plan counts it with. Of several `processes` each has a part.
    """

    snapshot: Snapshot
    mode: str
    context: int
    slots: int
    room: Room = field(default=Room(0), compare=False)
    processes: int = 1


@dataclass(frozen=True)
class Remote:
    """A model that another machine serves, and the protocol that it speaks."""

    protocol: str
    endpoint: str
    model: str


@dataclass(frozen=True)
class Load:
    """A variant spelled with its mode, and where it is computed; equal loads share one engine.

    `adapters` are those of whoever asks: an engine that takes them as it starts is opened with them.
    """

    variant: str
    where: Local | Remote
    settings: Settings
    adapters: tuple[Adapter, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.variant

    def is_stale(self, newer: Load) -> bool:
        """Whether it was made from files that were replaced since by those of `newer`."""
        if not isinstance(self.where, Local) or not isinstance(newer.where, Local):
            return False
        mine, theirs = self.where.snapshot, newer.where.snapshot
        return (mine.path, mine.form) == (theirs.path, theirs.form) and mine.state != theirs.state


Form = Literal["gguf", "safetensors"]


@dataclass(frozen=True)
class Snapshot:
    """A folder of checked files (plain data, so that it crosses to a worker process).

    `path` is the folder of a safetensors model, or the GGUF file itself (of several the first). `trusted` says whether
    the chat template may be rendered in this process (a listed model) or needs the sandbox (any other). `state` tells
    one content of the files from another. Where they came from makes no difference: a model that has just been
    downloaded is the same that is found here the next time.
    """

    path: str
    form: Form
    origin: Literal["folder", "hub cache", "hub", "package index", "converted"] = field(compare=False)
    bytes: int
    revision: str | None = None
    trusted: bool = False
    state: str = ""

    @property
    def content(self) -> str:
        """What the same files have wherever they lie: the commit that they are of, else their state here."""
        return self.revision or self.state


@dataclass(frozen=True)
class Adapter:
    """A checked LoRA adapter for one base.

    `file` is its safetensors file, empty as long as it is only known and not here; `state` tells one content of the
    file from another. `parameters` are those of its matrices. `warning` says why it may not be made for this base.
    `on` are the adapters on top of which it was trained, as a variant spells them.
    """

    name: str
    config: LoraConfig
    parameters: int
    file: str = ""
    state: str = ""
    warning: str = ""
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActiveAdapter:
    """An adapter and how strongly it shall act."""

    adapter: Adapter
    weight: float

    def __str__(self) -> str:
        """As in a variant's spelling."""
        return str(AdapterChoice(self.adapter.name, self.weight))


def spelled(base: str, adapters: Iterable[ActiveAdapter]) -> str:
    """The spelling of a base with adapters that act on it."""
    return "+".join([base, *map(str, adapters)])
