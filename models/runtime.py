"""What is asked of one variant: checked, planned, its weights found, and its answer streamed."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from . import loading
from .compute import packed
from .compute.background import OnProgress, exhausted
from .compute.estimate import SPEEDS, Work
from .compute.gpu import Lease, events
from .compute.job import Answering, Job, Scoring, computing_process
from .compute.known_workers import WORKERS
from .compute.pool import LoadedModel
from .compute.relay import pumped, relayed
from .compute.runs import COUNTS
from .domain.catalog import Catalog, ModelCard
from .domain.engine import Attached, Prompt
from .domain.errors import (
    EmptyPrompt,
    GpuRefused,
    InvalidText,
    NotHeld,
    NotServed,
    PaddockError,
    PromptTooManyCharacters,
    SamplingOutOfBounds,
    TooManyTurns,
)
from .domain.load import ActiveAdapter, Load, Local, Snapshot
from .domain.memory.plan import LoadPlan
from .domain.messages import Event, Progress
from .domain.quantization import Mode
from .domain.request import ChatRequest, CompareRequest, CompletionRequest, Request, texts
from .domain.settings import Settings
from .domain.thinking import TemplateThinking, Thinking
from .domain.variant import Variant
from .engines.device import on_zero_gpu
from .engines.json_grammar import grammar
from .lookup import Lookup
from .planning import room
from .weights.hub.quota import seconds_left
from .weights.sharing import Visit

Asked = Request | CompareRequest | Prompt


class Runtime(Lookup):
    """The one object that the page, the API, the command line and the studies ask; it knows one machine."""

    def __init__(self, settings: Settings | None = None, catalog: Catalog | None = None) -> None:
        super().__init__(settings, catalog)
        self._lease: Lease | None = None
        self._guard: Callable[[Asked], None] = _let_through
        self._began = time.time()
        self.perplexities: dict[str, dict[str, float]] = {}  # measured here on REFERENCE_TEXT, by listed model and mode

    # --- for whom --------------------------------------------------------------------------------------

    def of_visitor(self, token: str | None) -> Runtime:
        """This Runtime for one event of a visitor, whose Hub token stands in where none is given."""
        theirs = copy(self)
        theirs._token = token
        return theirs

    def guarded(self, guard: Callable[[Asked], None]) -> Runtime:
        """This Runtime for doors that are open to others; `guard` is told all that is asked, and raises a refusal."""
        theirs = copy(self)
        theirs._guard = guard
        return theirs

    def admitted(self, request: CompareRequest) -> Runtime:
        """This Runtime for the parts of a comparison that its guard lets through."""
        self._guard(request)
        return self.guarded(_let_through)

    # --- what is in memory -----------------------------------------------------------------------------

    def held(self) -> list[LoadedModel]:
        """The models in this process's memory, and on ZeroGPU what a worker had when it was last heard of."""
        own = computing_process(self.settings).pool.held()
        for name, engine in packed.names():
            own.append(LoadedModel(name, engine.name, engine.bytes, engine.bytes, engine.bytes, 0.0, self._began, 0))
        there = [
            LoadedModel(**line | {"attached": tuple(Attached(**each) for each in line["attached"])})
            for line in WORKERS.lines
        ]
        return own + [replace(line, users=0) for line in there]

    def counts(self) -> dict[str, Any]:
        """What was computed since the start, and what is in memory, for the operator."""
        return COUNTS.to_dict() | {"in_memory": {line.name: line.resident for line in self.held()}}

    def eject(self, name: str) -> None:
        """Take a model out of memory by its spelling; raises NotHeld when it is in use or not there."""
        own = computing_process(self.settings).pool
        if name not in {line.name for line in own.held()} and name in {line.name for line in self.held()}:
            raise NotHeld(variant=name, reason="it is in a worker of ZeroGPU, which gives it back by itself")
        own.eject(name)

    # --- what a lent GPU costs --------------------------------------------------------------------------

    @property
    def gpu_is_lent(self) -> bool:
        """Whether this is ZeroGPU, which charges a visitor's quota."""
        return on_zero_gpu()

    def gpu_seconds_left(self, token: str | None) -> float | None:
        """What is left of the quota of the visitor with this token; None where that is not known."""
        return seconds_left(Visit("ZeroGPU quota", self.settings, token))

    def thought_tokens(self, request: ChatRequest, token: str | None = None) -> int:
        """The tokens that a thought may take before the answer: none of a model that is known not to think."""
        known = self.thinking(request.variant, token)
        return 0 if known and not known.marks else request.thinking.budget or request.sampling.max_new_tokens

    def work(self, variant: Variant, token: str | None = None, **share: int) -> Work | None:
        """A variant's share of a press, with tokens, characters and rows as of Work; None where no GPU is lent for it.

        Raises what `plan` does.
        """
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card, token=token)
        if not self.planner.borrows(card, mode):
            return None
        return Work(str(resolved.without_adapters), self.planner.plan(card, mode).weights, **share)

    def _without_gpu(self, variant: Variant) -> str:
        """A variant that this app's CPU computes: the same model as gguf, else one that answers well; or nothing."""
        good = self.catalog.good
        for instead in (
            replace(variant, quantization="gguf"),
            replace(variant.without_adapters, quantization="gguf"),
            Variant(good.key, "gguf") if good else None,
        ):
            with suppress(PaddockError):
                if instead and self.plan(instead).fits:
                    return str(instead)
        return ""

    @contextmanager
    def one_call(self, works: Sequence[Work]) -> Iterator[Runtime]:
        """This Runtime, for whose jobs a GPU is lent once, with the first that needs it; itself for no work."""
        if not works:
            yield self
            return
        with Lease(SPEEDS.seconds(works, self.settings.gpu_seconds)) as lease:
            within = copy(self)
            within._lease = lease
            yield within

    def _events(self, job: Job) -> Generator[Event, None, None]:
        return self._lease.events(job) if self._lease else events(job)

    def _events_or_instead(self, job: Job, variant: Variant) -> Generator[Event, None, None]:
        """The events of a job; where ZeroGPU gives no GPU, the error names a variant that needs none."""
        with closing(self._events(job)) as stream:
            try:
                yield from stream
            except GpuRefused as refused:
                raise type(refused)(refused.facts["words"], self._without_gpu(variant)) from refused

    def ready(self, variant: Variant, token: str | None = None) -> Generator[Progress, None, Load]:
        """Fetch and check all that a variant needs, so that nothing is left to be done while a GPU is lent.

        Returns how its base is loaded; raises what `answer` does before it computes.
        """
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card, token=token)
        beside = yield from self._adapters(resolved, mode, card, token)
        return (yield from self._load(resolved, mode, card, token, beside))

    # --- answering -------------------------------------------------------------------------------------

    def require(self, variant: Variant, token: str | None = None) -> None:
        """Raise what would refuse a variant on this machine, before anything is downloaded."""
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card, token=token)
        known = loading.known_adapters(variant, card, self.settings, token)
        self.planner.require_adapters(resolved, mode, known)
        if card.remote is None:
            self._room(str(resolved.without_adapters), mode, card, known)

    def check(self, request: Request) -> None:
        """Refuse what no model needs to see; raises InputError before anything is computed."""
        self._guard(request)
        if isinstance(request, CompletionRequest):
            empty = not request.prompt
        else:
            empty = not request.messages or not request.messages[-1].content.strip()
            if len(request.messages) > self.settings.max_turns:
                raise TooManyTurns(turns=len(request.messages), limit=self.settings.max_turns)
        if empty:
            raise EmptyPrompt
        self._check_texts(texts(request))
        if request.schema:
            grammar(request.schema)
        lengths = {"max_new_tokens": request.sampling.max_new_tokens}
        if isinstance(request, ChatRequest):
            lengths["thinking_budget"] = request.thinking.budget or 0
        for name, tokens in lengths.items():
            if tokens > (most := self.settings.max_new_tokens):
                raise SamplingOutOfBounds(name=name, value=tokens, wanted=f"at most {most:,} on this server")

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

    def streaming(
        self, request: Request, stop: threading.Event | None = None, token: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The same, each event as soon as it is there."""
        return relayed(partial(self.answer, request, token), stop)

    def answer_rows(
        self, request: Request, variants: Sequence[Variant], token: str | None = None
    ) -> Generator[Event, None, None]:
        """The answers of variants that differ by adapters only, as one batch: deltas with a `row` for each.

        `variants` mean the same mode, `request` is that of any of them; raises PaddockError.
        """
        for variant in variants:
            self.check(replace(request, variant=variant))
        card = self.card(variants[0], token)
        base, mode = self.resolve(variants[0], card, token=token)
        found = []
        for variant in variants:
            found.append((yield from self._adapters(variant.resolved(mode.name), mode, card, token)))
        together = tuple({active.adapter.name: active for row in found for active in row}.values())
        self.planner.require_adapters(base, mode, together)
        load = yield from self._load(base, mode, card, token, together)
        load, rows = yield from loading.for_engine(load, card, found, self.settings)
        yield from self._events_or_instead(_answering(request, card, load, rows), variants[0])

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
        self._guard(prompt)
        self._check_texts((prompt.text,))
        if not prompt.text.strip():
            raise EmptyPrompt
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card, token=token)
        beside = yield from self._adapters(resolved, mode, card, token)
        load = yield from self._load(resolved, mode, card, token, beside)
        load, (beside,) = yield from loading.for_engine(load, card, [beside], self.settings)
        if isinstance(load.where, Local):
            loading.require_short(prompt.text, load.where)
        yield from self._events_or_instead(Scoring(load, prompt, record, reference, beside, rivals), variant)

    def scoring(
        self, prompt: Prompt, variant: Variant, token: str | None = None, rivals: int = 0
    ) -> AsyncGenerator[Event, None]:
        """The same for an event loop."""
        return pumped(partial(self.score, prompt, variant, token=token, rivals=rivals))

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
        self, variant: Variant, mode: Mode, card: ModelCard, token: str | None
    ) -> Generator[Progress, None, tuple[ActiveAdapter, ...]]:
        """The checked adapters of a variant; raises AdapterRefused, AdaptersTooLarge and others, before any load."""
        found = yield from loading.fetched_adapters(variant, card, self.settings, token)
        self.planner.require_adapters(variant, mode, found)
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
        if snapshot.form == "gguf":  # that was fetched just now, perhaps: its header says more than the card
            planned = self._room(base, mode, card, beside)
        split = self.planner.processes(card, mode)
        local = Local(snapshot, mode.name, planned.context, planned.batch, room(planned), split)
        return Load(base, local, self.settings)

    def _room(self, base: str, mode: Mode, card: ModelCard, beside: tuple[ActiveAdapter, ...]) -> LoadPlan:
        """The plan of a base with adapters; raises DoesNotFit, unless it is in memory already."""
        planned = self.planner.plan(card, mode, adapters=beside)
        if beside or not any(line.name == base for line in self.held()):
            self.planner.require(planned, self.catalog.values(), card, beside)
        return planned


def _let_through(asked: Asked) -> None:
    """The guard of a Runtime that nobody else reaches."""


def _answering(request: Request, card: ModelCard, load: Load, rows: tuple[tuple[ActiveAdapter, ...], ...]) -> Answering:
    """How a request is put to a kind of model: messages for its template, or a text as it is."""
    if request.schema and not isinstance(load.where, Local):
        raise NotServed(name="response_format")
    how: dict[str, Any] = {"rows": rows, "reuse": request.reuse, "schema": request.schema}
    if isinstance(request, CompletionRequest):
        return Answering(load, request.sampling, prompt=request.prompt, **how)
    if card.is_base:
        sampling, text = request.base_prompt.ending(request.sampling), request.base_prompt.write(request.messages)
        return Answering(load, sampling, prompt=text, **how)
    asked = Thinking("off") if request.schema and request.thinking.switch == "auto" else request.thinking
    thinking = replace(asked, budget=_budget(request, load))
    return Answering(load, request.sampling, request.messages, **how, thinking=thinking)


def _budget(request: ChatRequest, load: Load) -> int | None:
    """The tokens that a thought may have, None for a model that does not think."""
    known = TemplateThinking()
    if isinstance(load.where, Local):
        with suppress(PaddockError, OSError):  # loading it says what is wrong
            known = loading.thinking_of(load.where.snapshot)
    return (request.thinking.budget or request.sampling.max_new_tokens) if known.marks else None


_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer can encode
