"""Plans on this machine: what memory there is, what a variant would take of it, and what would fit instead."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from .compute.job import computing_process
from .domain.catalog import ModelCard
from .domain.errors import AdaptersTooLarge, BadContext, DoesNotFit
from .domain.load import ActiveAdapter, Room, spelled
from .domain.memory.hardware import Hardware, load_hardware
from .domain.memory.plan import Budget, LoadPlan, adapter_bytes, alternatives, file_differences, plan, slots
from .domain.memory.speed import Speed, decode_speed
from .domain.memory.split_plan import split, why_whole
from .domain.quantization import Accelerator, Machine, Mode, card_for
from .domain.settings import Settings
from .domain.units import size
from .domain.variant import Variant
from .engines.device import GpuMemory, gpu_memory, memory, on_zero_gpu
from .system.bandwidth import read_bandwidth
from .weights import sources
from .weights.gguf_contents import gguf_contents


@dataclass(frozen=True)
class Planner:
    """Weighs variants against the memory of this machine, or of other `hardware`."""

    settings: Settings
    machine: Machine
    hardware: Hardware | None = None

    def on(self, hardware: Hardware | None) -> Planner:
        """The planner of other hardware; None is this machine."""
        return self if hardware is None else Planner(self.settings, hardware.machine, hardware)

    def budget(self) -> Budget:
        """The memory that one model could have if all others were ejected."""
        if self.hardware is not None:
            return self.hardware.budget
        if on_zero_gpu():  # no GPU is attached to this process
            total = int(self.settings.gpu_memory_gb * 1e9)
            return Budget("the GPU that ZeroGPU gives", total, int(total * self.settings.memory_fraction))
        return self._here(gpu_memory() if self.machine.accelerator == "cuda" else None)

    def _here(self, gpu: GpuMemory | None) -> Budget:
        pool = computing_process(self.settings).pool
        held = sum(line.resident for line in pool.held())
        here = gpu or memory()
        return Budget(gpu.name if gpu else "main memory", here.total, min(pool.limit, here.free + held))

    def borrows(self, card: ModelCard, mode: Mode) -> bool:
        """Whether a GPU has to be lent for it: on ZeroGPU for all but what llama.cpp computes beside it."""
        return self.hardware is None and on_zero_gpu() and mode.form != "gguf" and card.remote is None

    def _beside_the_gpu(self, mode: Mode) -> bool:
        return self.hardware is None and on_zero_gpu() and mode.form == "gguf"

    def context(self, card: ModelCard, wanted: Any = None) -> int:
        """Tokens to plan for: what this server gives a conversation, or any number that the model was made for."""
        if wanted is None:
            return min(card.context, self.settings.context)
        good = isinstance(wanted, int | float) and not isinstance(wanted, bool) and wanted == wanted // 1
        if not good or not 1 <= wanted <= card.context:
            raise BadContext(value=str(wanted)[:40], limit=card.context)
        return int(wanted)

    def stored(self, card: ModelCard, mode: Mode) -> ModelCard:
        """The card as the GGUF file of a mode describes the model, where that is on this machine."""
        if mode.form != "gguf" or card.stored:
            return card
        here = sources.locate(card_for(mode, card), "gguf", self.settings)
        found = gguf_contents(here.path, here.state) if here else None
        return replace(card, shape=found.shape or card.shape, stored=found) if found else card

    def processes(self, card: ModelCard, mode: Mode) -> int:
        """How many processes of this machine have a part of the model each; 1 where it cannot be split among them."""
        several = self.settings.processes if self.hardware is None and card.remote is None else 1
        return 1 if several == 1 or why_whole(card.sizes, mode.name, several) else several

    def slots(self, card: ModelCard, mode: Mode, context: int) -> int:
        """Conversations that are held at once."""
        wanted = 1 if self.hardware is not None else self.settings.slots  # one's own machine serves one
        return slots(card, context, wanted) if mode.form == "gguf" else 1

    def speed(self, card: ModelCard, mode: Mode) -> Speed | None:
        """How fast it will decode, where the bandwidth of the memory is known; an estimate."""
        accelerator: Accelerator = "cpu" if self._beside_the_gpu(mode) else self.machine.accelerator
        there = self.hardware
        bandwidth = there.bandwidth if there else _bandwidth_here(accelerator, self.settings.compute_threads)
        return decode_speed(self.stored(card, mode), mode, accelerator, bandwidth)

    def longest_context(self, card: ModelCard, mode: Mode, adapters: tuple[ActiveAdapter, ...] = ()) -> int:
        """The most tokens of one conversation whose plan fits, 0 where none does."""
        budget = self.budget()

        def too_long(tokens: int) -> bool:
            return not self.plan(card, mode, budget, tokens, adapters).fits

        return bisect_left(range(1, card.context + 1), True, key=too_long)

    def plan(
        self,
        card: ModelCard,
        mode: Mode,
        budget: Budget | None = None,
        context: Any = None,
        adapters: tuple[ActiveAdapter, ...] = (),
    ) -> LoadPlan:
        """The plan of a model in a mode, with adapters; raises BadContext."""
        tokens = self.context(card, context)
        spelling = spelled(str(Variant(card.key, mode.name)), adapters)
        if card.remote is not None:
            return LoadPlan(spelling, mode.name, tokens, 1, (), 0, Budget(card.remote.endpoint, 0, 0))
        stored = self.stored(card, mode)
        batch = self.slots(stored, mode, tokens)
        beside = parameters(adapters)
        machine, budget = self.machine, budget or self.budget()
        if self._beside_the_gpu(mode):
            machine, budget = replace(machine, accelerator="cpu"), self._here(None)
        planned = plan(spelling, stored, mode, machine, budget, tokens, batch, adapters=beside)
        if (several := self.processes(card, mode)) > 1:
            planned = split(planned, card.sizes, several, several if machine.accelerator == "cpu" else 1)
        if differences := file_differences(card, stored.sizes):
            planned = replace(planned, notes=(*planned.notes, *differences))
        else:  # a file may hold a tied head twice, which makes no more of the model
            planned = replace(planned, parameters=card.parameters, active_parameters=card.active_parameters)
        return replace(planned, warnings=tuple(_warnings(adapters)))

    def nearest(
        self,
        cards: Iterable[ModelCard],
        wanted: ModelCard,
        context: Any = None,
        adapters: tuple[ActiveAdapter, ...] = (),
    ) -> list[LoadPlan]:
        """The nearest variants that fit here, at most three."""
        budget = self.budget()
        tokens = self.context(wanted, context)

        def plan_of(card: ModelCard, mode: Mode) -> LoadPlan:
            return self.plan(card, mode, budget, min(tokens, card.context), adapters)

        return alternatives(cards, wanted, self.machine, plan_of, [active.adapter.config for active in adapters])

    def require(
        self,
        planned: LoadPlan,
        cards: Iterable[ModelCard],
        card: ModelCard,
        adapters: tuple[ActiveAdapter, ...] = (),
    ) -> None:
        """Raise DoesNotFit, which names what would fit, unless the plan fits or the operator overrides."""
        if planned.fits or self.settings.load_anyway:
            return
        near = [found.variant for found in self.nearest(cards, card, adapters=adapters)]
        suggestion = f"What fits: {', '.join(near)}." if near else "Nothing of its family fits; pick a smaller model."
        raise DoesNotFit(
            variant=planned.variant,
            needed=size(planned.needed),
            device=planned.budget.device,
            free=size(planned.budget.free),
            suggestion=suggestion,
        )

    def require_adapters(self, variant: Variant, mode: Mode, adapters: tuple[ActiveAdapter, ...]) -> None:
        """Raise AdaptersTooLarge when a variant's adapters take more together than may stay attached to a model."""
        needed = adapter_bytes(parameters(adapters), mode, self.machine.accelerator)
        if needed > (limit := int(self.settings.attached_mb * 1e6)):
            raise AdaptersTooLarge(variant=str(variant), needed=size(needed), limit=size(limit))


@cache
def _bandwidth_here(accelerator: Accelerator, threads: int) -> float:
    """Bytes a second that this machine reads of the memory that models lie in; 0 where that is not known."""
    if accelerator == "cpu":
        return read_bandwidth(threads)
    if on_zero_gpu():
        return load_hardware()["zerogpu"].bandwidth
    gpu = gpu_memory() if accelerator == "cuda" else None
    return gpu.bandwidth if gpu else 0.0


def _warnings(adapters: tuple[ActiveAdapter, ...]) -> Iterator[str]:
    """What to know of adapters before they are used together."""
    active = {str(one) for one in adapters}
    for name, adapter in ((one.adapter.name, one.adapter) for one in adapters):
        if adapter.warning:
            yield f"{name}: {adapter.warning}"
        if lacking := "+".join(below for below in adapter.on if below not in active):
            yield f"{name}: it was trained on top of {lacking}; pick that too"


def parameters(adapters: tuple[ActiveAdapter, ...]) -> tuple[int, ...]:
    """Of those that act: one of weight 0 is not even attached."""
    return tuple(active.adapter.parameters for active in adapters if active.weight)


def room(planned: LoadPlan) -> Room:
    """What a model is counted with beside others: torch is in memory once, llama.cpp once a model.

    Its adapters come and go, and are counted as they are attached.
    """
    counted = {part.key: part.bytes for part in planned.parts}
    shared = 0 if planned.mode.startswith("gguf") else counted["framework"]
    return Room(planned.total - shared - counted.get("adapters", 0), planned.weights)
