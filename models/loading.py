"""From a variant to what is loaded: its weights and its adapters found or fetched, converted if need be."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import get_args

from .compute.background import OnProgress, reported
from .domain import quantization
from .domain.catalog import ModelCard
from .domain.errors import ContextExceeded, ServedElsewhere, TextExceedsContext, WeightsError
from .domain.load import ActiveAdapter, Adapter, Form, Load, Local, Snapshot
from .domain.lora import LoraConfig
from .domain.messages import Progress
from .domain.quantization import Configs, Mode
from .domain.settings import Settings
from .domain.thinking import TemplateThinking
from .domain.variant import Variant
from .engines.chat_template import source_in
from .engines.llama.metadata import chat_template_of, fewest_tokens
from .engines.thoughts import read_template
from .engines.transformers.from_gguf import content_of, conversion_folder, convert_in_subprocess, is_converted
from .weights import kept, own_folder, sources
from .weights.adapters import sources as adapter_sources
from .weights.adapters.gguf_file import as_gguf
from .weights.gguf_contents import gguf_contents

FP32 = 4  # bytes of a parameter, as a conversion writes it


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


def known_configs(variant: Variant, card: ModelCard, settings: Settings, token: str | None) -> Configs:
    """The configs of a variant's adapters; None of one that cannot be used, as whoever loads it is told.

    Raises VariantError.
    """
    found: list[LoraConfig | None] = []
    for choice in variant.adapters:
        found.append(None)
        with suppress(WeightsError, ServedElsewhere):
            found[-1] = adapter_sources.find(choice.name, card, settings, token).config
    return found


def for_engine(
    load: Load, card: ModelCard, rows: Sequence[tuple[ActiveAdapter, ...]], settings: Settings
) -> Generator[Progress, None, tuple[Load, tuple[tuple[ActiveAdapter, ...], ...]]]:
    """The adapters of each row as the engine of a load reads them, and the load with all that act.

    For llama.cpp they are converted once. Raises AdapterRefused.
    """
    where = load.where
    acting = dict.fromkeys(active.adapter for row in rows for active in row if active.weight)
    if not acting or not isinstance(where, Local) or where.snapshot.form != "gguf":
        return load, tuple(rows)
    contents = gguf_contents(where.snapshot.path, where.snapshot.state)
    architecture = contents.shape.model_type if contents and contents.shape else "unknown"
    made: dict[Adapter, Adapter] = {}
    for adapter in acting:
        convert = partial(_as_gguf, adapter, card, architecture, settings)
        made[adapter] = yield from reported(convert, Progress("convert", detail=adapter.name))
    new = tuple(tuple(replace(on, adapter=made.get(on.adapter, on.adapter)) for on in row) for row in rows)
    return replace(load, adapters=tuple(made.values())), new


def _as_gguf(
    adapter: Adapter,
    card: ModelCard,
    architecture: str,
    settings: Settings,
    on_progress: OnProgress,
    cancelled: Callable[[], bool],
) -> Adapter:
    made = as_gguf(adapter, card, architecture, settings)
    kept.used(settings, Path(made.file))
    return made


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
    kept.used(settings, Path(here.path))
    return here if here.form == form else (yield from converted(card, here, settings))


def converted(card: ModelCard, source: Snapshot, settings: Settings) -> Generator[Progress, None, Snapshot]:
    """A GGUF snapshot as safetensors: written once, by a process of its own, then taken from the cache."""
    own_folder.require(settings)
    folder = conversion_folder(card, source, settings)
    convert = partial(convert_in_subprocess, Path(source.path), folder)
    if not is_converted(Path(source.path), folder):
        kept.make_room(settings, FP32 * card.parameters, card.title, Path(source.path))
    yield from reported(convert, Progress("convert", detail=card.title))
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    content = content_of(folder)
    kept.used(settings, folder)
    return Snapshot(str(folder), "safetensors", "converted", size, source.revision, source.trusted, content)


def template_thinking(
    card: ModelCard, form: Form | None, settings: Settings, token: str | None
) -> TemplateThinking | None:
    """What a model's chat template knows of thinking, by its files of that form, else by any that can be had."""
    for each in dict.fromkeys(filter(None, (form, *get_args(Form)))):
        if here := sources.locate(card, each, settings):
            return thinking_of(here)
    folder = sources.settings_folder(card, settings, token)
    return read_template(source_in(folder)) if folder else None


def thinking_of(snapshot: Snapshot) -> TemplateThinking:
    """The same of a model on this machine; raises CannotLoad."""
    return read_template(_template(snapshot.path, snapshot.form, snapshot.state))


@lru_cache(maxsize=64)
def _template(path: str, form: Form, state: str) -> str:
    """The chat template among checked files, whose `state` tells one content from another."""
    return chat_template_of(path, trusted=False).source if form == "gguf" else source_in(Path(path))


def require_short(text: str, where: Local) -> None:
    """Raise ContextExceeded or TextExceedsContext for a text that has no room, before its model is loaded.

    A token stands for a byte at least, so only long texts are counted.
    """
    if len(text.encode()) <= where.context:
        return
    path = Path(where.snapshot.path)
    if where.snapshot.form == "gguf":
        if (least := fewest_tokens(path, text)) > where.context:
            raise TextExceedsContext(tokens=least, context=where.context)
    elif (file := path / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        count = len(Tokenizer.from_file(str(file)).encode(text, add_special_tokens=False).ids)
        if count > where.context:
            raise ContextExceeded(prompt_tokens=count, context=where.context)
