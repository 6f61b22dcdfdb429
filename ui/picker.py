"""The sidebar's upper part: dropdowns that spell one variant, and the card of what was picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.spec.errors import PaddockError
from models.spec.quantization import MODES
from models.spec.variant import AUTO, Variant

from . import render
from .events import AT_ONCE
from .text import t

if TYPE_CHECKING:
    from models.runtime import Runtime


@dataclass(frozen=True)
class Picker:
    """The components that together spell a variant."""

    model: gr.Dropdown
    quantization: gr.Dropdown
    spelling: gr.Textbox
    card: gr.HTML
    is_base: gr.State
    picked: list[Any]  # the events after which another variant may be picked

    @property
    def inputs(self) -> list[Component]:
        return [self.model, self.quantization]

    @property
    def outputs(self) -> list[Component]:
        return [self.model, self.quantization, self.spelling, self.card, self.is_base]


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
    card = gr.HTML(elem_id="card")
    spelling = gr.Textbox(label=t("variant"), info=t("variant_info"), buttons=["copy"], elem_id="variant", max_lines=1)
    picked: list[Any] = []
    picker = Picker(model, quantization, spelling, card, gr.State(False), picked)

    def from_dropdowns(model_name: str, mode: str) -> list[Any]:
        return show(runtime, model_name, mode)

    def from_spelling(text: str) -> list[Any]:
        try:
            variant = Variant.parse(text)
        except PaddockError as error:
            return [gr.skip(), gr.skip(), gr.skip(), render.error(error), gr.skip()]
        return show(runtime, variant.model, variant.quantization)

    picked.append(gr.on([model.input, quantization.input], from_dropdowns, picker.inputs, picker.outputs, **AT_ONCE))
    picked.append(spelling.submit(from_spelling, spelling, picker.outputs, **AT_ONCE))
    return picker


def model_choices(runtime: Runtime) -> list[tuple[str, str]]:
    """The models in the order of the catalog, which groups them by family."""
    return [(render.choice(model), model["key"]) for model in runtime.models()]


def show(runtime: Runtime, model_name: str, mode: str) -> list[Any]:
    """Values for `Picker.outputs`; what cannot be picked is explained in the card and `auto` takes its place."""
    try:
        variant = Variant(model_name.strip(), mode or AUTO)
        card = runtime.card(variant)
        described = runtime.describe(card)
        if variant.quantization not in (AUTO, *described["modes"]):
            variant = variant.resolved(AUTO)
        resolved, chosen = runtime.resolve(variant, card)
    except PaddockError as error:
        return [gr.skip(), gr.skip(), gr.skip(), render.error(error), gr.skip()]
    choices = [(f"auto (here: {described['auto']})", AUTO)]
    choices += [(f"{name} · {MODES[name].summary}", name) for name in described["modes"]]
    return [
        variant.model,
        gr.Dropdown(choices=choices, value=variant.quantization),
        str(variant),
        render.card(described, chosen.name, str(resolved)),
        card.is_base,
    ]
