"""From a variant to what is loaded: its weights and its adapters found or fetched, converted if need be."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

from .compute.background import reported
from .domain import quantization
from .domain.catalog import ModelCard
from .domain.errors import ContextExceeded, ServedElsewhere
from .domain.load import ActiveAdapter, Local, Snapshot
from .domain.messages import Progress
from .domain.quantization import Mode
from .domain.settings import Settings
from .domain.variant import Variant
from .engines.transformers.from_gguf import content_of, conversion_folder, convert_in_subprocess
from .weights import own_folder, sources
from .weights.adapters import sources as adapter_sources


def known_adapters(
    variant: Variant, card: ModelCard, settings: Settings, token: str | None
) -> tuple[ActiveAdapter, ...]:
    """What is known of a variant's adapters, without downloading their weights; raises VariantError, WeightsError."""
    return tuple(
        ActiveAdapter(adapter_sources.find(choice.name, card, settings, token), choice.weight)
        for choice in variant.adapters
    )


def fetched_adapters(
    variant: Variant, card: ModelCard, settings: Settings, token: str | None
) -> Generator[Progress, None, tuple[ActiveAdapter, ...]]:
    """The same on this machine, checked, with progress where one has to be downloaded."""
    found = []
    for active in known_adapters(variant, card, settings, token):
        adapter = active.adapter
        if not adapter.file:
            fetch = partial(adapter_sources.fetch, adapter.name, card, settings, token=token)
            adapter = yield from reported(fetch, Progress("download", detail=adapter.name))
        found.append(replace(active, adapter=adapter))
    return tuple(found)


def snapshot(card: ModelCard, mode: Mode, settings: Settings, token: str | None) -> Generator[Progress, None, Snapshot]:
    """The checked weights of a mode on this machine, downloaded and converted if need be.

    Raises WeightsError, ServedElsewhere.
    """
    wanted, form = quantization.card_for(mode, card), mode.form
    if form == "remote":
        raise ServedElsewhere(model=card.key)
    if (here := sources.locate(wanted, form, settings)) is None:
        fetch = partial(sources.resolve, wanted, form, settings, token=token)
        here = yield from reported(fetch, Progress("download", detail=card.title))
    return here if here.form == form else (yield from converted(card, here, settings))


def converted(card: ModelCard, source: Snapshot, settings: Settings) -> Generator[Progress, None, Snapshot]:
    """A GGUF snapshot as safetensors: written once, by a process of its own, then taken from the cache."""
    own_folder.require(settings)
    folder = conversion_folder(card, source, settings)
    convert = partial(convert_in_subprocess, Path(source.path), folder)
    yield from reported(convert, Progress("convert", detail=card.title))
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    content = content_of(folder)
    return Snapshot(str(folder), "safetensors", "converted", size, source.revision, source.trusted, content)


def require_short(text: str, where: Local) -> None:
    """Raise ContextExceeded for a text with more tokens than the context, before its model is loaded.

    A token stands for a byte at least, so only long texts are counted.
    """
    file = Path(where.snapshot.path, "tokenizer.json")
    if len(text.encode()) <= where.context or not file.is_file():
        return
    from tokenizers import Tokenizer

    count = len(Tokenizer.from_file(str(file)).encode(text, add_special_tokens=False).ids)
    if count > where.context:
        raise ContextExceeded(prompt_tokens=count, context=where.context)
