"""What can be asked of this machine: its models, what `auto` means, what fits, and which adapters there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from . import loading
from .domain import quantization
from .domain.adapters import FoundAdapter, ListedAdapter
from .domain.catalog import Catalog, ModelCard, load_catalog
from .domain.elsewhere import Recipe, Wanted, placed_adapter, recipes
from .domain.errors import HubIdsNotAllowed, ModeNotPossible, VariantError
from .domain.load import Form
from .domain.memory.hardware import Hardware
from .domain.memory.model_info import ModelInfo, Offer
from .domain.memory.plan import LoadPlan
from .domain.messages import Message
from .domain.quantization import Machine, Mode
from .domain.request import ChatRequest, CompletionRequest, Request
from .domain.settings import Settings
from .domain.thinking import TemplateThinking
from .domain.variant import AdapterChoice, Variant
from .engines.device import accelerator, native_bf16, packages
from .planning import Planner
from .weights import sources
from .weights.adapters import sources as adapter_sources
from .weights.adapters import uploads
from .weights.gguf_listing import look_up, with_listed
from .weights.kept import free_disk


class Lookup:
    """One machine and its catalog; it plans and lists, and computes nothing.

    Methods that take a Hub token use the visitor's own for that call only.
    """

    def __init__(self, settings: Settings | None = None, catalog: Catalog | None = None) -> None:
        self.settings = settings or Settings()
        self.catalog = (catalog or load_catalog()).only(self.settings.models)
        self.machine = Machine(accelerator(), packages(), native_bf16())
        self.planner = Planner(self.settings, self.machine)
        self._token: str | None = None  # of the visitor whose event this is
        default = Variant.parse(self.settings.default_variant)
        if catalog is None and not default.is_hub_id:
            self.catalog[default.model]  # an operator reads at the start that it is not listed

    def card(self, variant: Variant, token: str | None = None) -> ModelCard:
        """The card of a variant's model; raises UnknownModel, HubIdsNotAllowed or a WeightsError.

        It knows all GGUF files that the Hub has listed; for a label that is not among them the Hub is asked.
        """
        return with_listed(self._card(variant, token), variant.quantization, self.settings, token)

    def look_up_files(self, variant: Variant, wait_s: float = 0.0, token: str | None = None) -> None:
        """Have the Hub asked, once a day, which GGUF files a model has, and wait for that for so long at most.

        Raises what `card` does.
        """
        look_up(self._card(variant, token), self.settings, wait_s)

    def _card(self, variant: Variant, token: str | None) -> ModelCard:
        if not variant.is_hub_id:
            return self.catalog[variant.model]
        hub_id = variant.model.partition("=")[0]
        listed = next((card for card in self.catalog.values() if card.hub_id == hub_id), None)
        if listed is not None and hub_id == variant.model:
            return listed
        if not self.settings.hub_ids and not self.settings.local_folder(variant.model):
            raise HubIdsNotAllowed(model=variant.model)
        return sources.hub_card(variant.model, self.settings, token or self._token)

    def prove_access(self, variant: Variant, token: str | None = None) -> None:
        """Raise what keeps a visitor from the weights of a variant's model, which are not downloaded.

        NotSignedIn, LicenceNotAccepted, AccessAwaited, TokenWithoutScope, BadToken, NotOnHub or HubUnreachable.
        """
        card = self._card(variant, token)
        if card.remote is None:
            sources.prove_access(card, self.settings, token)

    def resolve(
        self, variant: Variant, card: ModelCard, hardware: Hardware | None = None, token: str | None = None
    ) -> tuple[Variant, Mode]:
        """The variant with `auto` replaced by what it means on this machine, or on other hardware.

        Raises VariantError.
        """
        planner = self.planner.on(hardware)
        configs = loading.known_configs(variant, card, self.settings, token or self._token)
        mode = quantization.resolve(variant, card, planner.machine, lambda mode: planner.plan(card, mode).fits, configs)
        return variant.resolved(mode.name), mode

    def plan(
        self, variant: Variant, context: Any = None, token: str | None = None, hardware: Hardware | None = None
    ) -> LoadPlan:
        """What a variant would take in memory here, or on other hardware, without downloading weights.

        Raises BadContext, VariantError, and WeightsError for an adapter that cannot be used.
        """
        card = self.card(variant, token)
        resolved, mode = self.resolve(variant, card, hardware, token)
        known = loading.known_adapters(variant, card, self.settings, token)
        planner = self.planner.on(hardware)
        planner.require_adapters(resolved, mode, known)
        return replace(planner.plan(card, mode, context=context, adapters=known), variant=str(resolved))

    def nearest(
        self, variant: Variant, context: Any = None, token: str | None = None, hardware: Hardware | None = None
    ) -> list[LoadPlan]:
        """The nearest variants that fit: the same model with fewer bits, then smaller ones of its family."""
        card = self.card(variant, token)
        known = loading.known_adapters(variant, card, self.settings, token)
        return self.planner.on(hardware).nearest(self.catalog.values(), card, context, known)

    def longest_context(self, variant: Variant, hardware: Hardware | None = None, token: str | None = None) -> int:
        """The most tokens of one conversation that fit, 0 where none does."""
        card = self.card(variant, token)
        known = loading.known_adapters(variant, card, self.settings, token)
        return self.planner.on(hardware).longest_context(card, self.resolve(variant, card, hardware, token)[1], known)

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
        planner = self.planner.on(hardware)
        known = loading.known_adapters(Variant(card.key, adapters=adapters), card, self.settings, self._token)
        configs = [active.adapter.config for active in known]
        budget = planner.budget()
        modes = quantization.modes_of(card)
        refused = {m.name: why for m in modes if (why := quantization.why_not(m, card, planner.machine, configs))}
        able = [mode for mode in modes if mode.name not in refused]
        able += [each for mode in able for each in quantization.with_kv(mode, card)]
        plans = {mode: planner.plan(card, mode, budget, context, known) for mode in able}
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
            active_parameters=card.active_parameters,
            languages=card.languages,
            free_disk=free_disk(self.settings),
        )

    def thinking(self, variant: Variant, token: str | None = None) -> TemplateThinking | None:
        """What the chat template of a variant's model knows of thinking; None where its files cannot be had yet.

        Raises what `card` does.
        """
        card = self.card(variant, token)
        if card.is_base or card.remote:
            return TemplateThinking()
        form: Form | None = None
        with suppress(VariantError):
            mode = self.resolve(variant, card)[1]
            card, form = quantization.card_for(mode, card), mode.form if mode.form != "remote" else None
        return loading.template_thinking(card, form, self.settings, token)

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

    def elsewhere(self, request: Request, token: str | None = None) -> list[Recipe]:
        """How other programs run the request's variant and answer it; raises what `plan` does."""
        card = self.card(request.variant, token)
        if card.remote:
            return []
        _, mode = self.resolve(request.variant, card)
        loading.known_adapters(request.variant, card, self.settings, token)  # those that are not there say so
        listed = {entry.key: entry for entry in self.adapters(request.variant, token)}
        placed = [placed_adapter(choice, listed.get(choice.name)) for choice in request.variant.adapters]
        if isinstance(request, CompletionRequest):
            messages: tuple[Message, ...] = (Message("user", request.prompt),)
        elif card.is_base:
            messages = (Message("user", request.base_prompt.write(request.messages)),)
        else:
            messages = request.messages
        sampling = request.sampling
        if card.is_base and isinstance(request, ChatRequest):
            sampling = request.base_prompt.ending(sampling)
        context = min(card.context, self.settings.context)
        return recipes(Wanted(card, mode, placed, messages, sampling, context))
