"""The sidebar's upper part: dropdowns that spell one variant, and the card of what was picked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.spec.catalog import ModelCard
from models.spec.errors import PaddockError
from models.spec.plan import LoadPlan
from models.spec.quantization import modes_of
from models.spec.variant import ADAPTERS_MAX, AUTO, AdapterChoice, Variant

from . import render, render_adapters, render_card
from .adapter_picker import AdapterPicker, adapter_values, draw_adapters, follow_names, pair_of, read_variant
from .events import AT_ONCE
from .press import PRESS, pressed
from .text import t

if TYPE_CHECKING:
    from models.runtime import Runtime

CONTEXT_STEP = 512


@dataclass(frozen=True)
class Picker:
    """The components that together spell a variant."""

    model: gr.Dropdown
    quantization: gr.Dropdown
    refused: gr.HTML
    card: gr.HTML
    context: gr.Slider  # of the plan only; what the server gives is the operator's
    spelling: gr.Textbox
    is_base: gr.State
    adapters: AdapterPicker
    picked: list[Any]  # the events after which another variant may be picked
    weighed: list[Any]  # those after which its adapters may act more or less

    @property
    def inputs(self) -> list[Component]:
        return [self.model, self.quantization, *self.adapters.inputs]

    @property
    def outputs(self) -> list[Component]:
        shown = [self.model, self.quantization, self.refused, self.card, self.context, self.spelling, self.is_base]
        return [*shown, *self.adapters.outputs]


PICKED = 3 + ADAPTERS_MAX  # values of Picker.inputs


def build_picker(runtime: Runtime) -> Picker:
    """Draw the picker and let its parts follow each other."""
    model = gr.Dropdown(
        label=t("model"),
        info=t("model_info"),
        choices=model_choices(runtime),
        value=Variant.parse(runtime.settings.default_variant).model,
        allow_custom_value=runtime.settings.hub_ids,
        elem_id="model",
    )
    quantization = gr.Dropdown(label=t("quantization"), info=t("quantization_info"), elem_id="quantization")
    refused = gr.HTML(elem_id="refused")
    adapters = draw_adapters(runtime)
    card = gr.HTML(elem_id="card", js_on_load=PRESS)
    context = gr.Slider(
        CONTEXT_STEP,
        runtime.settings.context,
        value=runtime.settings.context,
        step=CONTEXT_STEP,
        label=t("context"),
        info=t("context_info"),
        elem_id="context",
    )
    spelling = gr.Textbox(label=t("variant"), info=t("variant_info"), buttons=["copy"], elem_id="variant", max_lines=1)
    picker = Picker(model, quantization, refused, card, context, spelling, gr.State(False), adapters, [], [])

    def from_model(model_name: str) -> list[Any]:
        return shown(runtime, lambda: Variant((model_name or "").strip()))  # adapters belong to one base

    def from_mode(tokens: float, *values: Any) -> list[Any]:
        return shown(runtime, lambda: read_variant(*values), tokens)

    def from_names(tokens: float, before: Sequence[str], *values: Any) -> list[Any]:
        model_name, mode, names, *strengths = values
        own = follow_names(names, before, strengths)
        return shown(runtime, lambda: read_variant(model_name, mode, names, *own), tokens)

    def from_strength(tokens: float, *values: Any) -> list[Any]:
        try:
            spelled = str(read_variant(*values))
        except PaddockError as error:
            return [gr.skip(), render.error(error)]
        return [spelled, draw_card(runtime, tokens, *values)]

    def from_spelling(text: str, tokens: float) -> list[Any]:
        return shown(runtime, lambda: Variant.parse(text), tokens)

    def from_card(event: gr.EventData, tokens: float) -> list[Any]:
        return from_spelling(pressed(event), tokens)

    def from_search(token: gr.OAuthToken | None, *values: Any) -> list[Any]:
        try:
            variant = read_variant(*values)
            found = runtime.adapters_on_hub(variant, token.token if token else None)
        except PaddockError as error:
            return [*[gr.skip()] * (len(adapters.outputs) - 1), render.error(error)]
        return [*adapter_values(runtime, variant, (), found)[:-1], render_adapters.searched(found, variant.model)]

    def from_files(files: list[str] | None, tokens: float, *values: Any) -> list[Any]:
        def with_upload() -> Variant:
            picked = read_variant(*values)
            try:
                name = runtime.upload_adapter(*pair_of(files), picked)
            finally:
                for file in files or []:  # the server keeps a copy of its own, or none at all
                    Path(file).unlink(missing_ok=True)
            return replace(picked, adapters=(*picked.adapters, AdapterChoice(name)))

        return [None, *shown(runtime, with_upload, tokens)]

    where = [context, *picker.inputs]
    picker.picked.append(model.input(from_model, model, picker.outputs, **AT_ONCE))
    picker.picked.append(quantization.input(from_mode, where, picker.outputs, **AT_ONCE))
    picker.picked.append(
        adapters.names.input(from_names, [context, adapters.shown, *picker.inputs], picker.outputs, **AT_ONCE)
    )
    picker.picked.append(spelling.submit(from_spelling, [spelling, context], picker.outputs, **AT_ONCE))
    picker.picked.append(card.click(from_card, context, picker.outputs, **AT_ONCE))
    for strength in adapters.strengths:
        weighed = strength.input(from_strength, where, [spelling, card], **AT_ONCE, trigger_mode="always_last")
        picker.weighed.append(weighed)
    if adapters.search is not None:
        adapters.search.click(from_search, picker.inputs, adapters.outputs, **AT_ONCE | {"show_progress": "minimal"})
    if adapters.files is not None:
        event = adapters.files.upload(
            from_files, [adapters.files, *where], [adapters.files, *picker.outputs], **AT_ONCE
        )
        picker.picked.append(event)
    context.input(partial(draw_card, runtime), where, card, **AT_ONCE, trigger_mode="always_last")
    return picker


def model_choices(runtime: Runtime) -> list[tuple[str, str]]:
    """The models in the order of the catalog, which groups them by family."""
    return [(render_card.choice(model), model["key"]) for model in runtime.models()]


def mode_choices(card: ModelCard, plans: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The modes that run here, each with its bytes and what it is."""
    summaries = {mode.name: mode.summary for mode in modes_of(card)}
    return [(render_card.mode_choice(name, planned, summaries[name]), name) for name, planned in plans.items()]


def show(runtime: Runtime, variant: Variant, context: float | None = None) -> list[Any]:
    """Values for `Picker.outputs`; a mode that cannot be picked is explained in the card and `auto` takes its place.

    Raises PaddockError for a model or an adapter that cannot be used.
    """
    card = runtime.card(variant)
    described = runtime.describe(card, variant.adapters)
    if variant.quantization not in (AUTO, *described["modes"]):
        variant = variant.resolved(AUTO)
    tokens = min(int(context or described["context_here"]), card.context)
    planned = runtime.plan(variant, tokens)
    choices = [(f"auto (here: {described['auto']})", AUTO), *mode_choices(card, described["plans"])]
    return [
        variant.model,
        gr.Dropdown(choices=choices, value=variant.quantization),
        render_card.refused(described["refused"]),
        _card(runtime, variant, described, planned),
        gr.Slider(min(CONTEXT_STEP, card.context), card.context, value=tokens),
        str(variant),
        card.is_base,
        *adapter_values(runtime, variant, planned.warnings),
    ]


def draw_card(runtime: Runtime, context: float, *values: Any) -> str:
    """The card of what the components say, as of now."""
    try:
        variant = read_variant(*values)
        card = runtime.card(variant)
        planned = runtime.plan(variant, min(int(context), card.context))
        return _card(runtime, variant, runtime.describe(card, variant.adapters), planned)
    except PaddockError as error:
        return render.error(error)


def shown(runtime: Runtime, variant: Callable[[], Variant], context: float | None = None) -> list[Any]:
    """The same, or the reason in the card's place."""
    try:
        return show(runtime, variant(), context)
    except PaddockError as error:
        return [gr.skip(), gr.skip(), gr.skip(), render.error(error), *[gr.skip()] * (3 + ADAPTERS_MAX + 3)]


def _card(runtime: Runtime, variant: Variant, described: dict[str, Any], planned: LoadPlan) -> str:
    nearest = [] if planned.fits else runtime.nearest(variant, planned.context)
    base = str(variant.without_adapters.resolved(planned.mode))
    held = next((line for line in runtime.held() if line.name == base), None)
    return render_card.card(described, planned, nearest, held)
