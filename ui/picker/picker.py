"""The sidebar's upper part: dropdowns that spell one variant, and the card of what was picked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError
from models.domain.memory.hardware import Hardware, load_hardware
from models.domain.variant import AUTO, AdapterChoice, Variant

from ..shared import render
from ..shared.events import AT_ONCE, PRESS, Values, own_token, pressed
from ..shared.text import t
from . import card as render_card
from .adapters import AdapterPicker, adapter_values, draw_adapters, follow_names, pair_of, search_result
from .picked import Pick, Picked, context_bounds, draw_card, failed, shown

if TYPE_CHECKING:
    from models.runtime import Runtime

UPLOAD = "your upload"
TYPED = "typed"  # hardware of which only the GB are known


@dataclass(frozen=True)
class Picker:
    """The components that together spell a variant."""

    model: gr.Dropdown
    hardware: gr.Dropdown
    gigabytes: gr.Number
    quantization: gr.State
    quantizations: gr.HTML
    card: gr.HTML
    chip: gr.HTML  # the variant in a line, always in sight; drawn by the page
    context: gr.Slider  # of the plan only; what the server gives is the operator's
    spelling: gr.Textbox
    is_base: gr.State
    pick: gr.State  # of a Pick
    adapters: AdapterPicker
    picked: list[Any]  # the events after which another variant may be picked
    weighed: list[Any]  # those after which its adapters may act more or less

    @property
    def asked(self) -> set[Component]:
        """What `read` reads: whoever computes takes these, so that nothing answers that was not picked."""
        own = {self.model, self.hardware, self.gigabytes, self.quantization, self.spelling, self.pick, self.context}
        return own | {self.adapters.names, *self.adapters.strengths}

    def read(self, values: Values) -> Picked:
        """What the components show."""
        return Picked(
            values[self.model],
            values[self.quantization],
            values[self.adapters.names],
            [values[strength] for strength in self.adapters.strengths],
            values[self.spelling],
            values[self.pick],
            values[self.context],
            f"{values[self.gigabytes] or 0:g}" if values[self.hardware] == TYPED else values[self.hardware],
        )

    @property
    def outputs(self) -> list[Component]:
        shown = [self.model, self.quantization, self.quantizations, self.card, self.chip, self.context, self.spelling]
        return [*shown, self.is_base, self.pick, *self.adapters.outputs]


def build_picker(runtime: Runtime) -> Picker:
    """Draw the picker and let its parts follow each other."""
    with gr.Row(elem_id="hardware-row"):
        hardware = gr.Dropdown(
            [
                ("This machine", ""),
                *((there.title, key) for key, there in load_hardware().items()),
                ("A GPU with the GB beside", TYPED),
            ],
            value="",
            label=t("hardware"),
            info=t("hardware_info"),
            scale=3,
            min_width=180,
            elem_id="hardware",
        )
        gigabytes = gr.Number(label=t("gigabytes"), info=t("gigabytes_info"), min_width=90, elem_id="gigabytes")
    hardware_status = gr.HTML(elem_id="hardware-status")
    model = gr.Dropdown(
        label=t("model"),
        info=t("model_info"),
        choices=model_choices(runtime),
        value=Variant.parse(runtime.settings.default_variant).model,
        allow_custom_value=runtime.settings.hub_ids,
        elem_id="model",
    )
    quantizations = gr.HTML(elem_id="quantizations", elem_classes="flush", js_on_load=PRESS)
    adapters = draw_adapters(runtime)
    card = gr.HTML(elem_id="card", js_on_load=PRESS)
    chip = gr.HTML(elem_id="chip", elem_classes="flush", render=False)
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
    quantization, is_base, pick = gr.State(AUTO), gr.State(False), gr.State(Pick())
    picker = Picker(
        model,
        hardware,
        gigabytes,
        quantization,
        quantizations,
        card,
        chip,
        context,
        spelling,
        is_base,
        pick,
        adapters,
        [],
        [],
    )

    def picked(values: Values, make: Callable[[Picked], Variant], tried: str = "", or_auto: bool = False) -> list[Any]:
        now = picker.read(values)
        try:
            there = now.machine
        except PaddockError:  # said where it was typed
            there = None
        return shown(runtime, lambda: make(now), now.pick, now.context, tried, or_auto, there)

    def from_model(values: Values) -> list[Any]:
        name = (values[model] or "").strip()
        return picked(values, lambda now: Variant(name), tried=name)  # adapters belong to one base

    def from_mode(event: gr.EventData, values: Values) -> list[Any]:
        mode = pressed(event)
        return picked(values, lambda now: replace(now, quantization=mode).listed, tried=mode)

    def from_gigabytes(values: Values) -> list[Any]:
        """A number typed is hardware by itself, and an emptied box this machine again."""
        if values[gigabytes] is None and values[hardware] != TYPED:
            return [gr.skip()] * (2 + len(outputs))
        chosen = "" if values[gigabytes] is None else TYPED
        return [chosen, *from_hardware({**values, hardware: chosen})]

    def from_hardware(values: Values) -> list[Any]:
        """Everything anew for other hardware; GB that are none are said, and this machine is planned for."""
        try:
            there, said = picker.read(values).machine, ""
        except PaddockError as error:
            there, said = None, render.error(error)
        choices = gr.Dropdown(choices=model_choices(runtime, there), value=values[model])
        return [said, choices, *picked(values, lambda now: now.listed)[1:]]

    def from_names(values: Values) -> list[Any]:
        def renamed(now: Picked) -> Variant:
            return replace(now, strengths=follow_names(now.names, values[adapters.shown], now.strengths)).listed

        return picked(values, renamed, or_auto=True)

    def from_strength(values: Values) -> list[Any]:
        now = picker.read(values)
        try:
            spelled = str(now.listed)
        except PaddockError as error:
            return [gr.skip(), *failed(now.pick.spelling, "", error)]
        weighed = replace(now, spelling=spelled, pick=Pick(spelled))
        return [spelled, draw_card(runtime, weighed), weighed.pick]

    def from_spelling(values: Values) -> list[Any]:
        return picked(values, lambda now: Variant.parse(now.spelling or ""), tried=values[spelling] or "")

    def from_card(event: gr.EventData, values: Values) -> list[Any]:
        return picked(values, lambda now: Variant.parse(pressed(event)), tried=pressed(event))

    def from_search(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        try:
            variant = picker.read(values).listed
            found = runtime.adapters_on_hub(variant, own_token(token))
        except PaddockError as error:
            return [*[gr.skip()] * (len(adapters.outputs) - 1), render.error(error)]
        return [*adapter_values(runtime, variant, (), found)[:-1], search_result(found, variant.model)]

    def from_files(values: Values) -> list[Any]:
        files = values[adapters.files]

        def with_upload(now: Picked) -> Variant:
            before = now.listed
            try:
                name = runtime.upload_adapter(*pair_of(files), before)
            finally:
                for file in files or []:  # the server keeps a copy of its own, or none at all
                    Path(file).unlink(missing_ok=True)
            return replace(before, adapters=(*before.adapters, AdapterChoice(name)))

        return [None, *picked(values, with_upload, UPLOAD, or_auto=True)]

    def draw(values: Values) -> Any:
        return draw_card(runtime, picker.read(values))

    asked, outputs = picker.asked, picker.outputs
    picker.picked.append(model.input(from_model, asked, outputs, **AT_ONCE))
    picker.picked.append(quantizations.click(from_mode, asked, outputs, **AT_ONCE))
    picker.picked.append(hardware.input(from_hardware, asked, [hardware_status, *outputs], **AT_ONCE))
    typed = gr.on(
        [gigabytes.submit, gigabytes.blur], from_gigabytes, asked, [hardware, hardware_status, *outputs], **AT_ONCE
    )
    picker.picked.append(typed)
    picker.picked.append(adapters.names.input(from_names, asked | {adapters.shown}, outputs, **AT_ONCE))
    picker.picked.append(spelling.submit(from_spelling, asked, outputs, **AT_ONCE))
    picker.picked.append(card.click(from_card, asked, outputs, **AT_ONCE))
    for strength in adapters.strengths:
        weighed = strength.input(
            from_strength, asked, [spelling, card, picker.pick], **AT_ONCE, trigger_mode="always_last"
        )
        picker.weighed.append(weighed)
    if adapters.search is not None:
        adapters.search.click(from_search, asked, adapters.outputs, **AT_ONCE | {"show_progress": "minimal"})
    if adapters.files is not None:
        event = adapters.files.upload(from_files, asked | {adapters.files}, [adapters.files, *outputs], **AT_ONCE)
        picker.picked.append(event)
    context.input(draw, asked, card, **AT_ONCE, trigger_mode="always_last")
    return picker


def model_choices(runtime: Runtime, hardware: Hardware | None = None) -> list[tuple[str, str]]:
    """The models in the order of the catalog, which groups them by family, as they fit the hardware."""
    return [(render_card.choice(model), model.key) for model in runtime.models(hardware)]
