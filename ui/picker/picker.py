"""The sidebar's upper part: dropdowns that spell one variant, and the card of what was picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError
from models.domain.variant import AdapterChoice, Variant

from ..shared import render
from ..shared.events import AT_ONCE
from ..shared.press import PRESS, pressed
from ..shared.text import t
from . import card as render_card
from . import render_adapters
from .adapters import AdapterPicker, adapter_values, draw_adapters, follow_names, pair_of, read_variant
from .picked import Pick, context_bounds, draw_card, failed, shown

if TYPE_CHECKING:
    from models.runtime import Runtime

UPLOAD = "your upload"


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
    pick: gr.State  # of a Pick
    adapters: AdapterPicker
    picked: list[Any]  # the events after which another variant may be picked
    weighed: list[Any]  # those after which its adapters may act more or less

    @property
    def inputs(self) -> list[Component]:
        return [self.model, self.quantization, *self.adapters.inputs]

    @property
    def asked(self) -> list[Component]:
        """What `read_picked` reads: whoever computes takes these, so that nothing answers that was not picked."""
        return [*self.inputs, self.spelling, self.pick]

    @property
    def outputs(self) -> list[Component]:
        shown = [self.model, self.quantization, self.refused, self.card, self.context, self.spelling]
        return [*shown, self.is_base, self.pick, *self.adapters.outputs]


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
    here = runtime.settings.context
    low, high, step = context_bounds(here, here)
    context = gr.Slider(
        low,
        high,
        value=here,
        step=step,
        label=t("context"),
        info=t("context_info"),
        elem_id="context",
    )
    spelling = gr.Textbox(label=t("variant"), info=t("variant_info"), buttons=["copy"], elem_id="variant", max_lines=1)
    states = gr.State(False), gr.State(Pick())
    picker = Picker(model, quantization, refused, card, context, spelling, *states, adapters, [], [])

    def from_model(before: Pick, model_name: str) -> list[Any]:
        name = (model_name or "").strip()
        return shown(runtime, lambda: Variant(name), before, tried=name)  # adapters belong to one base

    def from_mode(before: Pick, tokens: float, *values: Any) -> list[Any]:
        return shown(runtime, lambda: read_variant(*values), before, tokens)

    def from_names(before: Pick, tokens: float, names_before: Sequence[str], *values: Any) -> list[Any]:
        model_name, mode, names, *strengths = values
        own = follow_names(names, names_before, strengths)
        return shown(runtime, lambda: read_variant(model_name, mode, names, *own), before, tokens, or_auto=True)

    def from_strength(before: Pick, tokens: float, *values: Any) -> list[Any]:
        try:
            spelled = str(read_variant(*values))
        except PaddockError as error:
            return [gr.skip(), *failed(before.spelling, "", error)]
        pick = Pick(spelled)
        return [spelled, draw_card(runtime, tokens, *values, spelled, pick), pick]

    def from_spelling(before: Pick, tokens: float, text: str) -> list[Any]:
        return shown(runtime, lambda: Variant.parse(text), before, tokens, tried=text or "")

    def from_card(event: gr.EventData, before: Pick, tokens: float) -> list[Any]:
        return from_spelling(before, tokens, pressed(event))

    def from_search(token: gr.OAuthToken | None, *values: Any) -> list[Any]:
        try:
            variant = read_variant(*values)
            found = runtime.adapters_on_hub(variant, token.token if token else None)
        except PaddockError as error:
            return [*[gr.skip()] * (len(adapters.outputs) - 1), render.error(error)]
        return [*adapter_values(runtime, variant, (), found)[:-1], render_adapters.searched(found, variant.model)]

    def from_files(files: list[str] | None, before: Pick, tokens: float, *values: Any) -> list[Any]:
        def with_upload() -> Variant:
            picked = read_variant(*values)
            try:
                name = runtime.upload_adapter(*pair_of(files), picked)
            finally:
                for file in files or []:  # the server keeps a copy of its own, or none at all
                    Path(file).unlink(missing_ok=True)
            return replace(picked, adapters=(*picked.adapters, AdapterChoice(name)))

        return [None, *shown(runtime, with_upload, before, tokens, UPLOAD, or_auto=True)]

    before = [picker.pick, context]
    where = [*before, *picker.inputs]
    picker.picked.append(model.input(from_model, [picker.pick, model], picker.outputs, **AT_ONCE))
    picker.picked.append(quantization.input(from_mode, where, picker.outputs, **AT_ONCE))
    picker.picked.append(
        adapters.names.input(from_names, [*before, adapters.shown, *picker.inputs], picker.outputs, **AT_ONCE)
    )
    picker.picked.append(spelling.submit(from_spelling, [*before, spelling], picker.outputs, **AT_ONCE))
    picker.picked.append(card.click(from_card, before, picker.outputs, **AT_ONCE))
    for strength in adapters.strengths:
        weighed = strength.input(
            from_strength, where, [spelling, card, picker.pick], **AT_ONCE, trigger_mode="always_last"
        )
        picker.weighed.append(weighed)
    if adapters.search is not None:
        adapters.search.click(from_search, picker.inputs, adapters.outputs, **AT_ONCE | {"show_progress": "minimal"})
    if adapters.files is not None:
        event = adapters.files.upload(
            from_files, [adapters.files, *where], [adapters.files, *picker.outputs], **AT_ONCE
        )
        picker.picked.append(event)
    context.input(partial(draw_card, runtime), [context, *picker.asked], card, **AT_ONCE, trigger_mode="always_last")
    return picker


def model_choices(runtime: Runtime) -> list[tuple[str, str]]:
    """The models in the order of the catalog, which groups them by family."""
    return [(render_card.choice(model), model["key"]) for model in runtime.models()]
