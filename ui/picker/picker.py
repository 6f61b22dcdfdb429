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
from ..shared.events import AT_ONCE, PRESS, PRESSED, Values, own_token, pressed, raises, signal
from ..shared.language import say
from ..shared.lenient import Slider
from ..shared.text import t
from .access import draw_access
from .adapters import AdapterPicker, adapter_values, draw_adapters, follow_names, pair_of, search_result
from .combobox import SEARCH, Free, Option, combobox
from .picked import Pick, Picked, context_bounds, draw_card, failed, show, shown

if TYPE_CHECKING:
    from models.runtime import Runtime

# Until a press is drawn, nothing may be answered by what was picked before it.
UNDER_WAY = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-press]");
  if (button) window.paddock.underWay(button.dataset.press);
});"""
# What was opened stays open when it is drawn anew.
STAYS_OPEN = """
const opened = new Set(), folds = () => [...element.querySelectorAll("details")];
element.addEventListener("click", (event) => {
  const at = folds().indexOf(event.target.closest("summary")?.parentElement);
  if (at >= 0 && !opened.delete(at)) opened.add(at);
});
new MutationObserver(() => {
  folds().forEach((fold, at) => { if (fold.open !== opened.has(at)) fold.open = opened.has(at); });
}).observe(element, { childList: true, subtree: true, attributeFilter: ["open"] });"""
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
    kind: gr.HTML  # a signal: base or instruct
    pick: gr.State  # of a Pick
    under_way: gr.Textbox  # what was pressed in the browser, until the server has drawn it
    adapters: AdapterPicker
    changed: gr.HTML  # a signal: another variant may be picked
    token: gr.Textbox  # of the visitor's own, sent with what they ask for and kept nowhere else
    weighed: list[Any] = field(default_factory=list)  # those after which its adapters may act more or less

    @property
    def asked(self) -> set[Component]:
        """What `read` reads: whoever computes takes these, so that nothing answers that was not picked."""
        own = {
            self.model,
            self.hardware,
            self.quantization,
            self.spelling,
            self.pick,
            self.under_way,
            self.context,
            self.token,
        }
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
        return [*lists, *shown, self.kind, self.pick, *self.adapters.outputs, self.under_way, self.note]


def build_picker(runtime: Runtime) -> Picker:
    """Draw the picker and let its parts follow each other."""
    hardwares = gr.HTML(elem_id="hardware", elem_classes="flush", js_on_load=SEARCH)
    hardware_status = gr.HTML(elem_id="hardware-status", elem_classes="flush")
    models = gr.HTML(elem_id="model", elem_classes="flush", js_on_load=SEARCH)
    quantizations = gr.HTML(elem_id="quantizations", elem_classes="flush", js_on_load=PRESS + UNDER_WAY + STAYS_OPEN)
    adapters = draw_adapters(runtime)
    card = gr.HTML(elem_id="card", js_on_load=PRESS + UNDER_WAY + STAYS_OPEN)
    access = draw_access(runtime.settings.sign_in)
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
        kind=signal("instruct"),
        pick=gr.State(Pick()),
        under_way=gr.Textbox(visible="hidden", elem_id="under-way"),
        adapters=adapters,
        changed=signal(),
        token=access.token,
    )

    def machine_of(values: Values) -> tuple[Picked, Hardware | None]:
        now = picker.read(values)
        try:
            return now, now.machine
        except PaddockError:  # said where it was typed
            return now, None

    def choose(
        token: gr.OAuthToken | None,
        values: Values,
        make: Callable[[Picked], Variant],
        tried: str = "",
        or_auto: bool = False,
    ) -> list[Any]:
        now, there = machine_of(values)
        own = own_token(token, values[access.token])
        drawn = shown(runtime, lambda: make(now), now.pick, now.context, tried, or_auto, there, own)
        return [only_changed(value, values.get(part)) for part, value in zip(picker.outputs, drawn, strict=True)]

    def from_model(event: gr.EventData, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        name = pressed(event).strip().removeprefix("https://huggingface.co/").rstrip("/")
        return choose(token, values, lambda now: Variant.parse(name), tried=name)  # adapters belong to one base

    def from_mode(event: gr.EventData, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        mode = pressed(event)
        return choose(token, values, lambda now: replace(now, quantization=mode).listed, tried=mode)

    def from_hardware(event: gr.EventData, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """Everything anew for other hardware; GB that are none are said, and what it was stays."""
        name = pressed(event)
        try:
            there = find_hardware(name) if name else None
        except PaddockError as error:
            kept = [gr.skip()] * (len(outputs) - 1)
            return [render.error(error), gr.skip(), hardware_box(values[picker.hardware]), *kept, ""]
        now = picker.read({**values, picker.hardware: name})
        own = own_token(token, values[access.token])
        drawn = shown(runtime, lambda: now.listed, now.pick, now.context, there=there, token=own)
        return ["", name, hardware_box(name), *drawn]

    def from_names(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        def renamed(now: Picked) -> Variant:
            return replace(now, strengths=follow_names(now.names, values[adapters.shown], now.strengths)).listed

        return choose(token, values, renamed, or_auto=True)

    def from_strength(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        now = picker.read(values)
        try:
            spelled = str(now.listed)
        except PaddockError as error:
            return [gr.skip(), *failed(now.pick.spelling, "", error)]
        weighed = replace(now, spelling=spelled, pick=Pick(spelled))
        return [spelled, draw_card(runtime, weighed, own_token(token, values[access.token])), weighed.pick]

    def from_spelling(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        return choose(token, values, lambda now: Variant.parse(now.spelling or ""), tried=values[spelling] or "")

    def from_card(event: gr.EventData, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        return choose(token, values, lambda now: Variant.parse(pressed(event)), tried=pressed(event))

    def from_search(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        try:
            variant = picker.read(values).listed
            own = own_token(token, values[access.token])
            found = runtime.adapters_on_hub(variant, own)
        except PaddockError as error:
            return [*[gr.skip()] * (len(adapters.outputs) - 1), render.error(error)]
        return [*adapter_values(runtime, variant, (), found, own)[:-1], search_result(found, variant.model)]

    def from_files(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        files, own = values[adapters.files], own_token(token, values[access.token])

        def with_upload(now: Picked) -> Variant:
            before = now.listed
            try:
                name = runtime.upload_adapter(*pair_of(files), before, values[adapters.label] or "", own)
            finally:
                for file in files or []:  # the server keeps a copy of its own, or none at all
                    Path(file).unlink(missing_ok=True)
            return replace(before, adapters=(*before.adapters, AdapterChoice(name)))

        try:
            now, there = machine_of(values)
            return [None, "", *show(runtime, with_upload(now), now.context, or_auto=True, hardware=there, token=own)]
        except PaddockError as error:  # what was picked stays so
            return [None, render.error(error), *[gr.skip()] * len(outputs)]

    def diagnose(token: gr.OAuthToken | None, values: Values) -> str:
        try:
            variant = Variant.parse(values[spelling] or "")  # which may be what could not be picked
            runtime.prove_access(variant, own_token(token, values[access.token]))
            return render.said(say("You may read {model}.", model=variant.model))
        except PaddockError as error:
            return render.error(error)

    asked, outputs = picker.asked, picker.outputs
    there = [hardware_status, picker.hardware, hardwares]
    picked = [
        models.click(from_model, asked, outputs, **PRESSED),
        quantizations.click(from_mode, asked, outputs, **PRESSED),
        hardwares.click(from_hardware, asked, [*there, *outputs], **PRESSED),
        adapters.names.input(from_names, asked | {adapters.shown}, outputs, **AT_ONCE),
        spelling.submit(from_spelling, asked, outputs, **AT_ONCE),
        access.token.submit(from_spelling, asked, outputs, **AT_ONCE),  # what could not be read before may be now
        *(buttons.click(from_card, asked, outputs, **PRESSED) for buttons in (card, note)),
    ]
    for strength in adapters.strengths:
        picker.weighed.append(strength.input(from_strength, asked, [spelling, card, picker.pick], **AT_ONCE))
    if adapters.search is not None:
        shown_progress = AT_ONCE | {"show_progress": "minimal", "show_progress_on": None}
        adapters.search.click(from_search, asked, adapters.outputs, **shown_progress)
    if adapters.files is not None:
        brought = asked | {adapters.files, adapters.label}
        refused = [adapters.files, adapters.refused]
        picked.append(adapters.files.upload(from_files, brought, [*refused, *outputs], **AT_ONCE))
    for event in picked:
        raises(event.then, picker.changed)
    access.check.click(diagnose, asked, access.said, **AT_ONCE | {"show_progress": "minimal", "show_progress_on": None})
    return picker


def only_changed(drawn: Any, posted: Any) -> Any:
    """An update without the value that the page has sent, so that it never undoes what was changed there meanwhile."""
    if not isinstance(drawn, Component) or drawn.constructor_args.get("value") != posted:
        return drawn
    return type(drawn)(**{name: value for name, value in drawn.constructor_args.items() if name != "value"})


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
