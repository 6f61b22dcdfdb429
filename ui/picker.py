"""The sidebar's upper part: dropdowns that spell one variant, and the card of what was picked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.spec.catalog import ModelCard
from models.spec.errors import PaddockError
from models.spec.quantization import modes_of
from models.spec.variant import AUTO, Variant

from . import render, render_card
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
    picked: list[Any]  # the events after which another variant may be picked

    @property
    def inputs(self) -> list[Component]:
        return [self.model, self.quantization]

    @property
    def outputs(self) -> list[Component]:
        return [*self.inputs, self.refused, self.card, self.context, self.spelling, self.is_base]


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
    picked: list[Any] = []
    picker = Picker(model, quantization, refused, card, context, spelling, gr.State(False), picked)

    def from_model(model_name: str, mode: str) -> list[Any]:
        return show(runtime, model_name, mode)

    def from_mode(model_name: str, mode: str, tokens: float) -> list[Any]:
        return show(runtime, model_name, mode, tokens)

    def from_spelling(text: str, tokens: float) -> list[Any]:
        try:
            variant = Variant.parse(text)
        except PaddockError as error:
            return _only(card=render.error(error))
        return show(runtime, variant.model, variant.quantization, tokens)

    def from_card(event: gr.EventData, tokens: float) -> list[Any]:
        return from_spelling(pressed(event), tokens)

    def replan(model_name: str, mode: str, tokens: float) -> str:
        return draw_card(runtime, model_name, mode, tokens)

    where = [*picker.inputs, context]
    picked.append(model.input(from_model, picker.inputs, picker.outputs, **AT_ONCE))
    picked.append(quantization.input(from_mode, where, picker.outputs, **AT_ONCE))
    picked.append(spelling.submit(from_spelling, [spelling, context], picker.outputs, **AT_ONCE))
    picked.append(card.click(from_card, context, picker.outputs, **AT_ONCE))
    context.input(replan, where, card, **AT_ONCE, trigger_mode="always_last")
    return picker


def model_choices(runtime: Runtime) -> list[tuple[str, str]]:
    """The models in the order of the catalog, which groups them by family."""
    return [(render_card.choice(model), model["key"]) for model in runtime.models()]


def mode_choices(card: ModelCard, plans: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The modes that run here, each with its bytes and what it is."""
    summaries = {mode.name: mode.summary for mode in modes_of(card)}
    return [(render_card.mode_choice(name, planned, summaries[name]), name) for name, planned in plans.items()]


def show(runtime: Runtime, model_name: str, mode: str, context: float | None = None) -> list[Any]:
    """Values for `Picker.outputs`; what cannot be picked is explained in the card and `auto` takes its place."""
    try:
        variant = Variant(model_name.strip(), mode or AUTO)
        card = runtime.card(variant)
        described = runtime.describe(card)
        if variant.quantization not in (AUTO, *described["modes"]):
            variant = variant.resolved(AUTO)
        tokens = min(int(context or described["context_here"]), card.context)
        drawn = _card(runtime, variant, card, described, tokens)
    except PaddockError as error:
        return _only(card=render.error(error))
    choices = [(f"auto (here: {described['auto']})", AUTO), *mode_choices(card, described["plans"])]
    return [
        variant.model,
        gr.Dropdown(choices=choices, value=variant.quantization),
        render_card.refused(described["refused"]),
        drawn,
        gr.Slider(min(CONTEXT_STEP, card.context), card.context, value=tokens),
        str(variant),
        card.is_base,
    ]


def draw_card(runtime: Runtime, model_name: str, mode: str, context: float) -> str:
    """The card of what the dropdowns say, as of now."""
    try:
        variant = Variant((model_name or "").strip(), mode or AUTO)
        card = runtime.card(variant)
        return _card(runtime, variant, card, runtime.describe(card), min(int(context), card.context))
    except PaddockError as error:
        return render.error(error)


def _card(runtime: Runtime, variant: Variant, card: ModelCard, described: dict[str, Any], context: int) -> str:
    planned = runtime.plan(variant, context)
    nearest = [] if planned.fits else runtime.nearest(variant, context)
    held = next((line for line in runtime.held() if line.name == planned.variant), None)
    return render_card.card(described, planned, nearest, held)


def _only(card: str) -> list[Any]:
    return [gr.skip(), gr.skip(), gr.skip(), card, gr.skip(), gr.skip(), gr.skip()]
