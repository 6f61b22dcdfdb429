"""Machines to plan for before renting or buying one, and which models fit which of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..catalog import ModelCard
from ..errors import UnknownHardware
from ..quantization import Accelerator, Machine, Mode, mode_named
from .plan import Budget, plan

HARDWARE_FILE = Path(__file__).with_name("hardware.toml")
USABLE = 0.97  # the rest is lost to gaps in torch's allocator; libraries are a part of every plan
EVERYTHING = frozenset({"bitsandbytes", "gptqmodel", "optimum"})
TYPED_GB = (1.0, 4096.0)  # bounds of a memory that is typed
# The columns of `which`.
COMMON = ("t4", "l4", "a10g", "a100-40gb", "zerogpu", "a100-80gb", "h200")


@dataclass(frozen=True)
class Hardware:
    """One machine: what models can have of its memory in bytes, and bytes a second that it reads, 0 if not known."""

    key: str
    title: str
    accelerator: Accelerator
    usable: int
    bandwidth: float = 0.0
    source: str = ""

    @property
    def machine(self) -> Machine:
        """What decides which modes run there, with every optional package installed."""
        return Machine(self.accelerator, EVERYTHING, native_bf16=self.key != "t4")

    @property
    def budget(self) -> Budget:
        """Its memory as a plan weighs it."""
        return Budget(self.title, self.usable, int(self.usable * USABLE))


@cache
def load_hardware(path: Path = HARDWARE_FILE) -> Mapping[str, Hardware]:
    """The table by key, in its order; a wrong entry is a ValueError that names it."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {key: _hardware(key, entry) for key, entry in table.items()}


def _hardware(key: str, entry: dict[str, object]) -> Hardware:
    try:
        usable, bandwidth = float(str(entry["usable"])), float(str(entry["bandwidth"]))
        accelerator: Accelerator = "mps" if entry["accelerator"] == "mps" else "cuda"
        return Hardware(
            key, str(entry["title"]), accelerator, int(usable * 2**30), bandwidth * 1e9, str(entry["source"])
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"hardware {key}: {error}") from error


def find_hardware(name: str) -> Hardware:
    """The machine of that key, or one with as many GB as are typed, like `24` or `24 GB`; raises UnknownHardware."""
    key = name.strip().lower()
    if key in load_hardware():
        return load_hardware()[key]
    try:
        gigabytes = float(key.removesuffix("gb").strip())
    except ValueError:
        gigabytes = 0.0
    if not TYPED_GB[0] <= gigabytes <= TYPED_GB[1]:  # NaN is within no bounds
        raise UnknownHardware(hardware=name[:40], known=", ".join(load_hardware()))
    return Hardware(f"{gigabytes:g}gb", f"GPU with {gigabytes:g} GB", "cuda", int(gigabytes * 1e9))


@dataclass(frozen=True)
class Fit:
    """One cell of the table; `bytes` is what the model takes with a full context, `usable` what the GPU offers."""

    model: str
    mode: str
    gpu: str
    bytes: int
    usable: int

    @property
    def fits(self) -> bool:
        return self.bytes <= self.usable

    @property
    def gpus(self) -> int:
        """How many of this GPU hold it, if it is spread over several by layers."""
        return -(-self.bytes // self.usable)


def which_fit(
    cards: Iterable[ModelCard], modes: Iterable[str], machines: Iterable[str] = COMMON, context: int = 4096
) -> list[Fit]:
    """Every card x mode x machine at a context of one conversation.

    Modes are named as in a variant; those without known files are left out.
    """
    names, found = list(modes), []
    hardware = [find_hardware(name) for name in machines]
    for card in cards:
        for mode in (mode for name in names if (mode := mode_named(name, card)) and _has_files(card, mode)):
            for there in hardware:
                tokens = min(context, card.context)
                needed = plan(f"{card.key}@{mode.name}", card, mode, there.machine, there.budget, tokens).needed
                found.append(Fit(card.key, mode.name, there.title, needed, there.budget.free))
    return found


def _has_files(card: ModelCard, mode: Mode) -> bool:
    if mode.packing == "grouped":
        return any(form.method == mode.name for form in card.quantized)
    return mode.form != "gguf" or card.gguf is not None


def table(fits: Iterable[Fit]) -> str:
    """The same as Markdown: a line a variant, its GB, and a column a machine with “yes” or how many it takes."""
    rows: dict[tuple[str, str], list[Fit]] = {}
    for fit in fits:
        rows.setdefault((fit.model, fit.mode), []).append(fit)
    gpus = [fit.gpu for fit in next(iter(rows.values()), [])]
    lines = ["| " + " | ".join(["model", "mode", "GB", *gpus]) + " |", "|---" * (3 + len(gpus)) + "|"]
    for (model, mode), line in rows.items():
        cells = ["yes" if fit.fits else f"{fit.gpus} x" for fit in line]
        lines.append("| " + " | ".join([model, mode, f"{line[0].bytes / 1e9:.1f}", *cells]) + " |")
    return "\n".join(lines)
