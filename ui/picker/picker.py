"""The sidebar's upper part: lists that spell one variant, and the card of what was picked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError
from models.domain.memory.hardware import Hardware, find_hardware, load_hardware
from models.domain.units import size
from models.domain.variant import AUTO, AdapterChoice, Variant

from ..shared import render
from ..shared.events import AT_ONCE, PRESS, Values, own_token, pressed
from ..shared.language import say
from ..shared.slider import Slider
from ..shared.text import t
from .adapters import AdapterPicker, adapter_values, draw_adapters, follow_names, pair_of, search_result
from .combobox import SEARCH, Free, Option, combobox
from .picked import Pick, Picked, context_bounds, draw_card, failed, shown

if TYPE_CHECKING:
    from models.runtime import Runtime

UPLOAD = "your upload"
# Until a press is drawn, nothing may be answered by what was picked before it.
UNDER_WAY = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-press]");
  if (button) window.paddock.underWay(button.dataset.press);
});"""
GIGABYTES = r"(\d{1,4}(?:\.\d+)?)(?: ?GB)?"


@dataclass(frozen=True)
class Picker:
    """The components that together spell a variant."""

    model: gr.State
    models: gr.HTML
    hardware: gr.State
    hardwares: gr.HTML
    quantization: gr.State
    quantizations: gr.HTML
    card: gr.HTML
    chip: gr.HTML  # the variant in a line, always in sight; drawn by the page
    note: gr.HTML  # on the languages of its model; drawn where questions are asked
    context: gr.Slider  # of the plan only; what the server gives is the operator's
    spelling: gr.Textbox
    is_base: gr.State
    pick: gr.State  # of a Pick
    under_way: gr.Textbox  # what was pressed in the browser, until the server has drawn it
    adapters: AdapterPicker
    picked: list[Any] = field(default_factory=list)  # the events after which another variant may be picked
    weighed: list[Any] = field(default_factory=list)  # those after which its adapters may act more or less

    @property
    def asked(self) -> set[Component]:
        """What `read` reads: whoever computes takes these, so that nothing answers that was not picked."""
        own = {self.model, self.hardware, self.quantization, self.spelling, self.pick, self.under_way, self.context}
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
            values[self.hardware],
            values[self.under_way],
        )

    @property
    def outputs(self) -> list[Component]:
        lists = [self.model, self.models, self.quantization, self.quantizations]
        shown = [self.card, self.chip, self.context, self.spelling]
        return [*lists, *shown, self.is_base, self.pick, *self.adapters.outputs, self.under_way, self.note]


def build_picker(runtime: Runtime) -> Picker:
    """Draw the picker and let its parts follow each other."""
    hardwares = gr.HTML(elem_id="hardware", elem_classes="flush", js_on_load=SEARCH)
    hardware_status = gr.HTML(elem_id="hardware-status", elem_classes="flush")
    models = gr.HTML(elem_id="model", elem_classes="flush", js_on_load=SEARCH)
    quantizations = gr.HTML(elem_id="quantizations", elem_classes="flush", js_on_load=PRESS + UNDER_WAY)
    adapters = draw_adapters(runtime)
    card = gr.HTML(elem_id="card", js_on_load=PRESS + UNDER_WAY)
    chip = gr.HTML(elem_id="chip", elem_classes="flush", render=False)
    note = gr.HTML(elem_id="language-note", elem_classes="flush", render=False, js_on_load=PRESS + UNDER_WAY)
    here = runtime.settings.context
    low, high, step = context_bounds(here, here)
    context = Slider(
        low,
        high,
        value=here,
        step=step,
        label=t("context"),
        info=t("context_info"),
        elem_id="context",
    )
    spelling = gr.Textbox(label=t("variant"), info=t("variant_info"), buttons=["copy"], elem_id="variant", max_lines=1)
    states = {name: gr.State(value) for name, value in (("model", ""), ("hardware", ""), ("quantization", AUTO))}
    picker = Picker(
        **states,
        models=models,
        hardwares=hardwares,
        quantizations=quantizations,
        card=card,
        chip=chip,
        note=note,
        context=context,
        spelling=spelling,
        is_base=gr.State(False),
        pick=gr.State(Pick()),
        under_way=gr.Textbox(visible="hidden", elem_id="under-way"),
        adapters=adapters,
    )

    def picked(values: Values, make: Callable[[Picked], Variant], tried: str = "", or_auto: bool = False) -> list[Any]:
        now = picker.read(values)
        try:
            there = now.machine
        except PaddockError:  # said where it was typed
            there = None
        return shown(runtime, lambda: make(now), now.pick, now.context, tried, or_auto, there)

    def from_model(event: gr.EventData, values: Values) -> list[Any]:
        name = pressed(event).strip().removeprefix("https://huggingface.co/").rstrip("/")
        return picked(values, lambda now: Variant.parse(name), tried=name)  # adapters belong to one base

    def from_mode(event: gr.EventData, values: Values) -> list[Any]:
        mode = pressed(event)
        return picked(values, lambda now: replace(now, quantization=mode).listed, tried=mode)

    def from_hardware(event: gr.EventData, values: Values) -> list[Any]:
        """Everything anew for other hardware; GB that are none are said, and what it was stays."""
        name = pressed(event)
        try:
            there = find_hardware(name) if name else None
        except PaddockError as error:
            kept = [gr.skip()] * (len(outputs) - 1)
            return [render.error(error), gr.skip(), hardware_box(values[picker.hardware]), *kept, ""]
        now = picker.read({**values, picker.hardware: name})
        return ["", name, hardware_box(name), *shown(runtime, lambda: now.listed, now.pick, now.context, there=there)]

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
                name = runtime.upload_adapter(*pair_of(files), before, values[adapters.label] or "")
            finally:
                for file in files or []:  # the server keeps a copy of its own, or none at all
                    Path(file).unlink(missing_ok=True)
            return replace(before, adapters=(*before.adapters, AdapterChoice(name)))

        return [None, *picked(values, with_upload, UPLOAD, or_auto=True)]

    def draw(values: Values) -> Any:
        return draw_card(runtime, picker.read(values))

    asked, outputs = picker.asked, picker.outputs
    picker.picked.append(models.click(from_model, asked, outputs, **AT_ONCE))
    picker.picked.append(quantizations.click(from_mode, asked, outputs, **AT_ONCE))
    there = [hardware_status, picker.hardware, hardwares]
    picker.picked.append(hardwares.click(from_hardware, asked, [*there, *outputs], **AT_ONCE))
    picker.picked.append(adapters.names.input(from_names, asked | {adapters.shown}, outputs, **AT_ONCE))
    picker.picked.append(spelling.submit(from_spelling, asked, outputs, **AT_ONCE))
    for buttons in (card, note):
        picker.picked.append(buttons.click(from_card, asked, outputs, **AT_ONCE))
    for strength in adapters.strengths:
        weighed = strength.input(
            from_strength, asked, [spelling, card, picker.pick], **AT_ONCE, trigger_mode="always_last"
        )
        picker.weighed.append(weighed)
    if adapters.search is not None:
        adapters.search.click(from_search, asked, adapters.outputs, **AT_ONCE | {"show_progress": "minimal"})
    if adapters.files is not None:
        brought = asked | {adapters.files, adapters.label}
        event = adapters.files.upload(from_files, brought, [adapters.files, *outputs], **AT_ONCE)
        picker.picked.append(event)
    context.input(draw, asked, card, **AT_ONCE, trigger_mode="always_last")
    return picker


def hardware_box(name: str) -> str:
    """The search for hardware, with what is chosen in it: a machine of the table, or GB that were typed."""
    options = [Option("", say("This machine")), *map(_hardware_line, load_hardware().values())]
    if name and name not in load_hardware():  # GB that were typed
        typed = find_hardware(name)
        options.append(Option(name, typed.title, size(typed.usable)))
    return combobox("hardware", say("My hardware"), options, name, Free(GIGABYTES, say("A GPU with {} GB")))


def _hardware_line(there: Hardware) -> Option:
    speed = f"{there.bandwidth / 1e9:,.0f} GB/s" if there.bandwidth else ""
    hover = say("{size} can be used; {source}", size=size(there.usable), source=there.source)
    return Option(there.key, there.title, speed, hover=hover)
