"""Which models fit which GPUs: the plans of a few well-known cards, before renting one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..catalog import ModelCard
from ..quantization import Machine, Mode, mode_named
from .plan import Budget, plan

# GiB that CUDA reports (torch's total_memory), which is less than what the card is sold with: the driver keeps some,
# and GDDR6 gives a sixteenth to ECC (a T4 with 16 GB has 14.7). On ZeroGPU a Space gets half of an RTX Pro 6000.
GPUS: dict[str, float] = {
    "T4 16 GB": 14.7,
    "L4 24 GB": 22.0,
    "A10G 24 GB": 22.0,
    "A100 40 GB": 39.4,
    "RTX Pro 6000 48 GB (ZeroGPU)": 47.4,
    "A100 80 GB": 79.1,
    "H200 141 GB": 139.7,
}
USABLE = 0.97  # the rest is lost to gaps in torch's allocator; libraries are a part of every plan
EVERYTHING = frozenset({"bitsandbytes", "gptqmodel", "optimum"})


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
    cards: Iterable[ModelCard], modes: Iterable[str], gpus: Mapping[str, float] = GPUS, context: int = 4096
) -> list[Fit]:
    """Every card x mode x GPU at a context of one conversation.

    Modes are named as in a variant; those without known files are left out.
    """
    names, found = list(modes), []
    for card in cards:
        for mode in (mode for name in names if (mode := mode_named(name, card)) and _has_files(card, mode)):
            for gpu, gibibytes in gpus.items():
                usable = int(gibibytes * 2**30 * USABLE)
                machine, budget = Machine("cuda", EVERYTHING), Budget(gpu, int(gibibytes * 2**30), usable)
                tokens = min(context, card.context)
                needed = plan(f"{card.key}@{mode.name}", card, mode, machine, budget, tokens).needed
                found.append(Fit(card.key, mode.name, gpu, needed, usable))
    return found


def _has_files(card: ModelCard, mode: Mode) -> bool:
    if mode.packing == "grouped":
        return any(form.method == mode.name for form in card.quantized)
    return mode.form != "gguf" or card.gguf is not None


def table(fits: Iterable[Fit]) -> str:
    """The same as Markdown: a line a variant, its GB, and a column a GPU with “yes” or how many it takes."""
    rows: dict[tuple[str, str], list[Fit]] = {}
    for fit in fits:
        rows.setdefault((fit.model, fit.mode), []).append(fit)
    gpus = [fit.gpu for fit in next(iter(rows.values()), [])]
    lines = ["| " + " | ".join(["model", "mode", "GB", *gpus]) + " |", "|---" * (3 + len(gpus)) + "|"]
    for (model, mode), line in rows.items():
        cells = ["yes" if fit.fits else f"{fit.gpus} x" for fit in line]
        lines.append("| " + " | ".join([model, mode, f"{line[0].bytes / 1e9:.1f}", *cells]) + " |")
    return "\n".join(lines)
