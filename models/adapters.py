"""The adapters that a variant names: found or fetched, each with its strength, and within this server's bounds."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from .compute.background import Cancelled, OnProgress, reported
from .domain.catalog import ModelCard
from .domain.errors import AdaptersTooLarge
from .domain.memory.plan import adapter_bytes
from .domain.messages import Progress
from .domain.quantization import Accelerator
from .domain.settings import Settings
from .domain.snapshot import ActiveAdapter, Adapter
from .domain.units import size
from .domain.variant import Variant
from .weights.adapters import sources


def known(variant: Variant, card: ModelCard, settings: Settings, token: str | None) -> tuple[ActiveAdapter, ...]:
    """What is known of a variant's adapters, without downloading their weights; raises VariantError, WeightsError."""
    return tuple(
        ActiveAdapter(sources.find(choice.name, card, settings, token), choice.weight) for choice in variant.adapters
    )


def fetched(
    variant: Variant, card: ModelCard, settings: Settings, token: str | None
) -> Generator[Progress, None, tuple[ActiveAdapter, ...]]:
    """The same on this machine, checked, with progress where one has to be downloaded."""
    found = []
    for active in known(variant, card, settings, token):
        adapter, name = active.adapter, active.adapter.name
        if not adapter.file:
            adapter = yield from reported(
                partial(_fetch, name, card, settings, token=token), Progress("download", detail=name)
            )
        found.append(ActiveAdapter(adapter, active.weight))
    return tuple(found)


def require_room(
    variant: Variant, adapters: tuple[ActiveAdapter, ...], accelerator: Accelerator, settings: Settings
) -> None:
    """Raise AdaptersTooLarge when a variant's adapters take more together than may stay attached to a model."""
    needed, limit = adapter_bytes(parameters(adapters), accelerator), int(settings.attached_mb * 1e6)
    if needed > limit:
        raise AdaptersTooLarge(variant=str(variant), needed=size(needed), limit=size(limit))


def parameters(adapters: tuple[ActiveAdapter, ...]) -> tuple[int, ...]:
    """Of those that act: one of weight 0 is not even attached."""
    return tuple(active.adapter.parameters for active in adapters if active.weight)


def _fetch(
    name: str, card: ModelCard, settings: Settings, on_progress: OnProgress, cancelled: Cancelled, token: str | None
) -> Adapter:
    return sources.fetch(name, card, settings, on_progress, cancelled, token)
