"""What is asked of one variant: checked, planned, its weights found, and its answer streamed."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from . import loading
from .compute.background import OnProgress, exhausted
from .compute.gpu import events
from .compute.job import Answering, Scoring, computing_process
from .compute.pool import LoadedModel
from .compute.relay import pumped
from .domain import quantization
from .domain.adapters import FoundAdapter, ListedAdapter
from .domain.catalog import Catalog, ModelCard, load_catalog
from .domain.engine import Prompt
from .domain.errors import (
    EmptyPrompt,
    HubIdsNotAllowed,
    InvalidText,
    ModeNotPossible,
    PromptTooManyCharacters,
    SamplingOutOfBounds,
    TooManyTurns,
)
from .domain.load import ActiveAdapter, Form, Load, Local, Snapshot
from .domain.memory.hardware import Hardware
from .domain.memory.model_info import ModelInfo, Offer
from .domain.memory.plan import LoadPlan
from .domain.messages import Event, Progress
from .domain.quantization import Machine, Mode
from .domain.request import CompletionRequest, Request, texts
from .domain.settings import Settings
from .domain.variant import AdapterChoice, Variant
from .engines.device import accelerator, native_bf16, packages
from .planning import Planner, room
from .weights import sources
from .weights.adapters import sources as adapter_sources
from .weights.adapters import uploads


class Runtime:
    """The one object that the page, the API, the command line and the studies ask; it knows one machine."""

    def __init__(self, settings: Settings | None = None, catalog: Catalog | None = None) -> None:
        self.settings = settings or Settings()
        self.catalog = catalog or load_catalog()
        self.machine = Machine(accelerator(), packages(), native_bf16())
        self.planner = Planner(self.settings, self.machine)
        self.perplexities: dict[str, dict[str, float]] = {}  # measured here on REFERENCE_TEXT, by listed model and mode
        Variant.parse(self.settings.default_variant)

    # --- what there is ---------------------------------------------------------------------------------

    def card(self, variant: Variant, token: str | None = None) -> ModelCard:
        """The card of a variant's model; raises UnknownModel, HubIdsNotAllowed or a WeightsError."""
        if not variant.is_hub_id:
            return self.catalog[variant.model]
        hub_id = variant.model.partition("=")[0]
        listed = next((card for card in self.catalog.values() if card.hub_id == hub_id), None)
        if listed is not None and hub_id == variant.model:
            return listed
        if not self.settings.hub_ids:
            raise HubIdsNotAllowed(model=variant.model)
        return sources.hub_card(variant.model, self.settings, token)

    def resolve(self, variant: Variant, card: ModelCard, hardware: Hardware | None = None) -> tuple[Variant, Mode]:
        """The variant with `auto` replaced by what it means on this machine, or on other hardware.

        Raises ModeNotPossible.
        """
        planner = self.planner.on(hardware)
        mode = quantization.resolve(variant, card, planner.machine, lambda mode: planner.plan(card, mode).fits)
        return variant.resolved(mode.name), mode

    def plan(
        self, variant: Variant, context: Any = None, token: str | None = None, hardware: Hardware | None = None
    ) -> LoadPlan:
        """What a variant would take in memory here, or on other hardware, without downloading weights.

        Raises BadContext, VariantError, and WeightsError for an adapter that cannot be used.
        """
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card, hardware)
        known = loading.known_adapters(variant, card, self.settings, token)
        planner = self.planner.on(hardware)
        planner.require_adapters(resolved, known)
        return replace(planner.plan(card, mode, context=context, adapters=known), variant=str(resolved))

    def require(self, variant: Variant, token: str | None = None) -> None:
        """Raise what would refuse a variant on this machine, before anything is downloaded."""
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card)
        known = loading.known_adapters(variant, card, self.settings, token)
        self.planner.require_adapters(resolved, known)
        if card.remote is None:
            self._room(str(resolved.without_adapters), mode, card, known)

    def nearest(
        self, variant: Variant, context: Any = None, token: str | None = None, hardware: Hardware | None = None
    ) -> list[LoadPlan]:
        """The nearest variants that fit: the same model with fewer bits, then smaller ones of its family."""
        card = self.card(variant, token)
        known = loading.known_adapters(variant, card, self.settings, token)
        return self.planner.on(hardware).nearest(self.catalog.values(), card, context, known)

    def longest_context(self, variant: Variant, hardware: Hardware | None = None) -> int:
        """The most tokens of one conversation that fit, 0 where none does."""
        card = self.card(variant)
        known = loading.known_adapters(variant, card, self.settings, None)
        return self.planner.on(hardware).longest_context(card, self.resolve(variant, card, hardware)[1], known)

    def models(self, hardware: Hardware | None = None) -> list[ModelInfo]:
        """The catalog: what runs with its bytes, and which files are already on this machine."""
        return [self.describe(card, hardware=hardware) for card in self.catalog.values()]

    def listing(self, hardware: Hardware | None = None) -> list[ModelInfo]:
        """The same as a list shows it, in a third of the time: of each model the plan of `auto` alone."""
        planner, found = self.planner.on(hardware), []
        budget = planner.budget()
        for card in self.catalog.values():
            auto = self._auto(Variant(card.key), card, hardware)
            found.append(self._info(card, planner, {mode: planner.plan(card, mode, budget) for mode in auto}, {}, auto))
        return found

    def describe(
        self,
        card: ModelCard,
        adapters: tuple[AdapterChoice, ...] = (),
        hardware: Hardware | None = None,
        context: int | None = None,
    ) -> ModelInfo:
        """One model here, or on other hardware, planned with adapters and a context; with adapters, only modes that
        take them.
        """
        planner, some = self.planner.on(hardware), bool(adapters)
        known = loading.known_adapters(Variant(card.key, adapters=adapters), card, self.settings, None)
        budget = planner.budget()
        modes = quantization.possible_modes(card, planner.machine, some)
        plans = {mode: planner.plan(card, mode, budget, context, known) for mode in modes}
        others = [mode for mode in quantization.modes_of(card) if mode not in modes]
        refused = {mode.name: quantization.why_not(mode, card, planner.machine, some) for mode in others}
        auto = self._auto(Variant(card.key, adapters=adapters), card, hardware)
        return self._info(card, planner, plans, refused, auto)

    def _auto(self, variant: Variant, card: ModelCard, hardware: Hardware | None) -> list[Mode]:
        """What `auto` means, if anything can run."""
        with suppress(ModeNotPossible):
            return [self.resolve(variant, card, hardware)[1]]
        return []

    def _info(
        self,
        card: ModelCard,
        planner: Planner,
        plans: Mapping[Mode, LoadPlan],
        refused: Mapping[str, str],
        auto: Sequence[Mode],
    ) -> ModelInfo:
        forms: tuple[Form, ...] = () if card.remote else get_args(Form)
        return ModelInfo(
            key=card.key,
            title=card.title,
            family=card.family,
            kind=card.kind,
            hub_id=card.hub_id,
            parameters=card.parameters,
            context=card.context,
            context_here=min(card.context, self.settings.context),
            licence=card.licence,
            licence_url=card.licence_url,
            gated=card.gated,
            auto=auto[0].name if auto else "",
            plans={
                mode.name: Offer(p.weights, p.total, p.fits, p.needed, p.tight, planner.speed(card, mode))
                for mode, p in plans.items()
            },
            refused=refused,
            without_hub=card.wheel is not None,
            on_this_machine=tuple(form for form in forms if sources.locate(card, form, self.settings)),
            languages=card.languages,
        )

    def adapters(self, model: Variant, token: str | None = None) -> list[ListedAdapter]:
        """The adapters that are listed for a model."""
        card = self.card(model, token)
        return [] if card.remote else adapter_sources.listed(card, self.settings)

    def adapters_on_hub(self, model: Variant, token: str | None = None) -> list[FoundAdapter]:
        """The Hub's adapters that are registered for a model, most downloaded first; none where it is unreachable."""
        card = self.card(model, token)
        return [] if card.remote else adapter_sources.search(card, self.settings, token)

    def upload_adapter(
        self, config: Path, weights: Path, model: Variant, label: str = "", token: str | None = None
    ) -> str:
        """Check a visitor's own adapter and keep a copy; returns its name, which only they know.

        The name begins with the label. Raises AdapterRefused.
        """
        return uploads.keep(config, weights, self.card(model, token), self.settings, label).name

    def held(self) -> list[LoadedModel]:
        """The models in this process's memory."""
        return computing_process(self.settings).pool.held()

    def eject(self, name: str) -> None:
        """Take a model out of memory by its spelling; raises NotHeld when it is in use or not there."""
        computing_process(self.settings).pool.eject(name)

    # --- answering -------------------------------------------------------------------------------------

    def check(self, request: Request) -> None:
        """Refuse what no model needs to see; raises InputError before anything is computed."""
        if isinstance(request, CompletionRequest):
            empty = not request.prompt
        else:
            empty = not request.messages or not request.messages[-1].content.strip()
            if len(request.messages) > self.settings.max_turns:
                raise TooManyTurns(turns=len(request.messages), limit=self.settings.max_turns)
        if empty:
            raise EmptyPrompt
        self._check_texts(texts(request))
        if request.sampling.max_new_tokens > self.settings.max_new_tokens:
            raise SamplingOutOfBounds(
                name="max_new_tokens",
                value=request.sampling.max_new_tokens,
                wanted=f"at most {self.settings.max_new_tokens:,} on this server",
            )

    def answer(self, request: Request, token: str | None = None) -> Generator[Event, None, None]:
        """The events of an answer: progress, the rendered prompt, deltas. Closing it stops the computation.

        `token` is the visitor's own Hub token, used for this call only. Raises PaddockError.
        """
        yield from self.answer_rows(request, (request.variant,), token)

    def answering(
        self, request: Request, stop: threading.Event | None = None, token: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The same for an event loop, with about ten deltas a second.

        Setting `stop` ends the computation at its next event; the last delta's usage then says `cancelled`.
        """
        return pumped(partial(self.answer, request, token), stop)

    def answer_rows(
        self, request: Request, variants: Sequence[Variant], token: str | None = None
    ) -> Generator[Event, None, None]:
        """The answers of variants that differ by adapters only, as one batch: deltas with a `row` for each.

        `variants` mean the same mode, `request` is that of any of them; raises PaddockError.
        """
        self.check(request)
        card = self.card(variants[0], token)
        base, mode = self.resolve(variants[0], card)
        rows = []
        for variant in variants:
            rows.append((yield from self._adapters(variant.resolved(mode.name), card, token)))
        together = tuple({active.adapter.name: active for row in rows for active in row}.values())
        self.planner.require_adapters(base, together)
        load = yield from self._load(base, mode, card, token, together)
        with closing(events(_answering(request, card, load, tuple(rows)))) as stream:
            yield from stream

    def score(
        self,
        prompt: Prompt,
        variant: Variant,
        record: str = "",
        reference: str = "",
        token: str | None = None,
        rivals: int = 0,
    ) -> Generator[Event, None, None]:
        """How likely a variant finds a text, plain or rendered: progress, then one Scored.

        The files and `rivals` are those of Engine.score. Raises PaddockError.
        """
        self._check_texts((prompt.text,))
        if not prompt.text.strip():
            raise EmptyPrompt
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card)
        beside = yield from self._adapters(resolved, card, token)
        load = yield from self._load(resolved, mode, card, token, beside)
        if isinstance(load.where, Local):
            loading.require_short(prompt.text, load.where)
        with closing(events(Scoring(load, prompt, record, reference, beside, rivals))) as stream:
            yield from stream

    def scoring(self, prompt: Prompt, variant: Variant, token: str | None = None) -> AsyncGenerator[Event, None]:
        """The same for an event loop."""
        return pumped(partial(self.score, prompt, variant, token=token))

    def fetch(self, variant: Variant, on_progress: OnProgress = lambda progress: None) -> Snapshot:
        """The checked weights of a variant on this machine, downloaded and converted if need be."""
        card = self.card(variant)
        return exhausted(loading.snapshot(card, self.resolve(variant, card)[1], self.settings, None), on_progress)

    def _check_texts(self, texts: Sequence[str]) -> None:
        if (count := sum(map(len, texts))) > self.settings.max_characters:
            raise PromptTooManyCharacters(characters=count, limit=self.settings.max_characters)
        if any(_SURROGATE.search(text) for text in texts):
            raise InvalidText

    def _adapters(
        self, variant: Variant, card: ModelCard, token: str | None
    ) -> Generator[Progress, None, tuple[ActiveAdapter, ...]]:
        """The checked adapters of a variant; raises AdapterRefused, AdaptersTooLarge and others, before any load."""
        found = yield from loading.fetched_adapters(variant, card, self.settings, token)
        self.planner.require_adapters(variant, found)
        return found

    def _load(
        self, variant: Variant, mode: Mode, card: ModelCard, token: str | None, beside: tuple[ActiveAdapter, ...]
    ) -> Generator[Progress, None, Load]:
        """The load of a variant's base, once the whole is known to fit and the files are here.

        Its adapters are no part of it, so that all that differ by them share one model in memory.
        Raises DoesNotFit, WeightsError.
        """
        base = str(variant.without_adapters)
        if card.remote is not None:
            return Load(base, card.remote, self.settings)
        planned = self._room(base, mode, card, beside)
        snapshot = yield from loading.snapshot(card, mode, self.settings, token)
        return Load(base, Local(snapshot, mode.name, planned.context, planned.batch, room(planned)), self.settings)

    def _room(self, base: str, mode: Mode, card: ModelCard, beside: tuple[ActiveAdapter, ...]) -> LoadPlan:
        """The plan of a base with adapters; raises DoesNotFit, unless it is in memory already."""
        planned = self.planner.plan(card, mode, adapters=beside)
        if beside or not any(line.name == base for line in self.held()):
            self.planner.require(planned, self.catalog.values(), card, beside)
        return planned


def _answering(request: Request, card: ModelCard, load: Load, rows: tuple[tuple[ActiveAdapter, ...], ...]) -> Answering:
    """How a request is put to a kind of model: messages for its template, or a text as it is."""
    if isinstance(request, CompletionRequest):
        return Answering(load, request.sampling, prompt=request.prompt, rows=rows, reuse=request.reuse)
    if card.is_base:
        sampling, text = request.base_prompt.ending(request.sampling), request.base_prompt.write(request.messages)
        return Answering(load, sampling, prompt=text, rows=rows, reuse=request.reuse)
    return Answering(load, request.sampling, request.messages, rows=rows, reuse=request.reuse)


_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer can encode
