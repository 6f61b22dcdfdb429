"""The one object that the page, the API and the command line talk to."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from .background import Cancelled, OnProgress, reported
from .engines.conversion import convert_in_subprocess
from .engines.device import accelerator
from .gpu import events, pumped
from .job import Job, Load, computing_process
from .pool import Held
from .spec import quantization
from .spec.catalog import Catalog, ModelCard, load_catalog
from .spec.errors import (
    AdaptersNotPossible,
    EmptyPrompt,
    HubIdsNotAllowed,
    InvalidText,
    PromptTooManyCharacters,
    SamplingOutOfBounds,
    TooManyTurns,
)
from .spec.messages import Event, Message, Progress, Sampling
from .spec.request import CompletionRequest, Request, texts
from .spec.settings import Settings
from .spec.snapshot import Form, Snapshot
from .spec.variant import Variant
from .terminal import ProgressLine
from .weights import sources


class Runtime:
    """Answers requests: checks them, finds the weights, and streams what the engine computes."""

    def __init__(self, settings: Settings | None = None, catalog: Catalog | None = None) -> None:
        self.settings = settings or Settings()
        self.catalog = catalog or load_catalog()
        self.accelerator: quantization.Accelerator = accelerator()
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

    def resolve(self, variant: Variant, card: ModelCard) -> tuple[Variant, quantization.Mode]:
        """The variant with `auto` replaced by what it means on this machine; raises ModeNotPossible."""
        if variant.adapters:
            raise AdaptersNotPossible(adapter=variant.adapters[0].name)
        mode = quantization.resolve(variant, card, self.accelerator)
        return variant.resolved(mode.name), mode

    def models(self) -> list[dict[str, Any]]:
        """The catalog as plain data, with what `auto` means here and which files are already on this machine."""
        return [self.describe(card) for card in self.catalog.values()]

    def describe(self, card: ModelCard) -> dict[str, Any]:
        """One card as plain data."""
        modes = [mode.name for mode in quantization.possible_modes(card, self.accelerator)]
        return {
            "key": card.key,
            "title": card.title,
            "family": card.family,
            "kind": card.kind,
            "hub_id": card.hub_id,
            "parameters": card.parameters,
            "context": card.context,
            "context_here": min(card.context, self.settings.context),
            "licence": card.licence,
            "licence_url": card.licence_url,
            "gated": card.gated,
            "modes": modes,
            "auto": quantization.resolve(Variant(card.key), card, self.accelerator).name,
            "without_hub": card.wheel is not None,
            "on_this_machine": [form for form in _FORMS if sources.locate(card, form, self.settings)],
        }

    def held(self) -> list[Held]:
        """The models in this process's memory."""
        return computing_process(self.settings).pool.held()

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
        if (count := sum(map(len, texts(request)))) > self.settings.max_characters:
            raise PromptTooManyCharacters(characters=count, limit=self.settings.max_characters)
        if any(_SURROGATE.search(text) for text in texts(request)):
            raise InvalidText
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
        self.check(request)
        job = yield from self._prepared(request, token)
        with closing(events(job)) as stream:
            yield from stream

    def answering(
        self, request: Request, stop: threading.Event | None = None, token: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The same for an event loop, with about ten deltas a second; setting `stop` ends the answer politely."""
        return pumped(partial(self.answer, request, token), stop)

    def fetch(self, variant: Variant, on_progress: OnProgress = lambda progress: None) -> Snapshot:
        """The checked weights of a variant on this machine, downloaded and converted if need be."""
        card = self.card(variant)
        steps = self._snapshot(card, self.resolve(variant, card)[1].form, None)
        while True:
            try:
                on_progress(next(steps))
            except StopIteration as end:
                return end.value

    def preload(self, variant: Variant) -> None:
        """Fetch and load a variant before anybody asks for it, with progress at the terminal."""
        line = ProgressLine()
        for event in self.answer(CompletionRequest(variant, "Hello", Sampling(max_new_tokens=1, temperature=0))):
            if isinstance(event, Progress):
                line.show(event)
        line.clear()

    def _prepared(self, request: Request, token: str | None) -> Generator[Progress, None, Job]:
        card = self.card(request.variant, token)
        variant, mode = self.resolve(request.variant, card)
        snapshot = yield from self._snapshot(card, mode.form, token)
        load = Load(str(variant), snapshot, mode.name, card.context, card.shape.kv_bytes_per_token(), self.settings)
        messages: tuple[Message, ...] = ()
        prompt, sampling = "", request.sampling
        if isinstance(request, CompletionRequest):
            prompt = request.prompt
        elif card.is_base:
            prompt, sampling = request.base_prompt.write(request.messages), request.base_prompt.ending(sampling)
        else:
            messages = request.messages
        return Job(load, sampling, messages, prompt)

    def _snapshot(self, card: ModelCard, form: Form, token: str | None) -> Generator[Progress, None, Snapshot]:
        def fetch(on_progress: OnProgress, cancelled: Cancelled) -> Snapshot:
            return sources.resolve(card, form, self.settings, on_progress, cancelled, token)

        if (here := sources.locate(card, form, self.settings)) is None:
            here = yield from reported(fetch, Progress("download", detail=card.title))
        if here.form == form:
            return here
        return (yield from self._converted(card, here))

    def _converted(self, card: ModelCard, source: Snapshot) -> Generator[Progress, None, Snapshot]:
        """A GGUF snapshot as safetensors: written once, by a process of its own, then taken from the cache."""
        folder = self.settings.cache / "converted" / f"{card.key}-{Path(source.path).stem}"

        def convert(on_progress: OnProgress, cancelled: Cancelled) -> None:
            convert_in_subprocess(Path(source.path), folder, on_progress, cancelled)

        yield from reported(convert, Progress("convert", detail=card.title))
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        return Snapshot(str(folder), "safetensors", "converted", size, source.revision, source.trusted)


_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer can encode
_FORMS: tuple[Form, ...] = ("gguf", "safetensors")
