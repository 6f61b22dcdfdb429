"""The Add panel: a model in several quantizations, with adapters at several strengths, ticked in one go."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.adapters import short_name
from models.domain.errors import PaddockError
from models.domain.memory.hardware import Hardware
from models.domain.memory.model_info import Offer, each_file_once
from models.domain.units import size
from models.domain.variant import AdapterChoice, Variant

from ..picker.combobox import SEARCH
from ..picker.models import fit_sign, model_box
from ..picker.picker import Picker
from ..shared import render
from ..shared.events import AT_ONCE, PRESSED, Values, follows, own_token, pressed
from ..shared.language import say
from ..shared.text import t
from .candidates import Target, extended, find_candidates
from .presets import SWEEP, explicit

if TYPE_CHECKING:
    from models.runtime import Runtime

ALONE = "-"  # no adapter, which is no name of one
MOST_TYPED = 100  # spellings at a time


@dataclass(frozen=True)
class AddPanel:
    """What is ticked, what that makes, and a field for spellings."""

    model: gr.State
    models: gr.HTML
    modes: gr.CheckboxGroup
    adapters: gr.CheckboxGroup
    strengths: gr.CheckboxGroup
    note: gr.HTML
    button: gr.Button
    spelling: gr.Textbox

    @property
    def ticked(self) -> list[Component]:
        return [self.modes, self.adapters, self.strengths]


def draw_add() -> AddPanel:
    """Draw it, closed."""
    with gr.Accordion(t("add_candidates"), open=False, elem_id="compare-add"):
        models = gr.HTML(elem_id="add-model", elem_classes="flush", js_on_load=SEARCH)
        modes = gr.CheckboxGroup([], label=t("add_modes"), elem_id="add-modes")
        with gr.Row(elem_id="add-adapters-row"):
            adapters = gr.CheckboxGroup([], label=t("adapters"), visible=False, elem_id="add-adapters")
            strengths = gr.CheckboxGroup([], label=t("add_strengths"), visible=False, elem_id="add-strengths")
        with gr.Row(elem_id="add-buttons"):
            button = gr.Button(t("add_ticked"), size="sm", min_width=120, scale=0, elem_id="add-ticked")
            note = gr.HTML(elem_id="add-note", elem_classes="flush")
        spelling = gr.Textbox(
            label=t("add_spelling"),
            info=t("add_spelling_info"),
            placeholder="smollm2-135m-instruct@nf4+pirate:0.8",
            lines=1,
            max_lines=6,
            submit_btn=t("add_short"),
            elem_id="add-spelling",
        )
    return AddPanel(gr.State(""), models, modes, adapters, strengths, note, button, spelling)


def combinations(
    model: str, modes: Sequence[str], adapters: Sequence[str], strengths: Sequence[float], taking: Collection[str]
) -> tuple[list[Variant], list[str]]:
    """A model in each mode, alone or with each adapter at each strength; and the ticked modes that take no adapter.

    `taking` are the modes that take adapters. Raises VariantError.
    """
    named = [name for name in adapters if name != ALONE]
    found = []
    for mode in modes:
        if ALONE in adapters or not named:
            found.append(Variant(model, mode))
        if mode in taking:
            found += [
                Variant(model, mode, (AdapterChoice(name, weight),)) for name in named for weight in strengths or [1.0]
            ]
    return found, [mode for mode in modes if named and mode not in taking]


def offers(plans: dict[str, Offer], mode: str = "") -> list[tuple[str, str]]:
    """A line for each quantization that can run: what must be free, and whether that fits.

    A quantized KV cache is offered with the first of the GGUF files, and where it is that of `mode`.
    """
    return [
        (f"{name} · {size(offer.needed)} {fit_sign(offer.fits, offer.tight)[0]}" if offer.needed else name, name)
        for name, offer in each_file_once(plans, keep=mode).items()
        if "/" not in name or name.startswith("gguf/") or name == mode
    ]


def wire_add(runtime: Runtime, panel: AddPanel, candidates: Component, picker: Picker, picked: gr.HTML) -> None:
    """Let the panel follow its model and, at the signal `picked`, what is picked; its buttons fill the list."""
    most = runtime.settings.compared

    def hardware_of(values: Values) -> Hardware | None:
        try:
            return picker.read(values).machine
        except PaddockError:  # said where it was typed
            return None

    def offered(runtime: Runtime, variant: Variant, hardware: Hardware | None) -> list[Any]:
        """Values for `outputs`: what the model of a variant offers, and the variant ticked."""
        card = runtime.card(variant)
        plans = runtime.describe(card, (), hardware).plans
        mode = explicit(runtime, variant.without_adapters, hardware).quantization
        names = {entry.key: entry.title for entry in runtime.adapters(variant)}
        names |= {adapter.name: short_name(adapter.name) for adapter in variant.adapters if adapter.name not in names}
        weights = sorted({*SWEEP, *(adapter.weight for adapter in variant.adapters)})
        own = [f"{adapter.weight:g}" for adapter in variant.adapters] or ["1"]
        return [
            variant.model,
            model_box(runtime.listing(hardware), variant.model, "add-model"),
            gr.CheckboxGroup(choices=offers(dict(plans), mode), value=[mode]),
            gr.CheckboxGroup(
                choices=[(say("no adapter"), ALONE), *((title, name) for name, title in names.items())],
                value=[ALONE, *(adapter.name for adapter in variant.adapters)],
                visible=bool(names),
            ),
            gr.CheckboxGroup(
                choices=[f"{weight:g}" for weight in weights], value=list(dict.fromkeys(own)), visible=bool(names)
            ),
            "",
        ]

    def theirs(token: gr.OAuthToken | None, values: Values) -> Runtime:
        return runtime.of_visitor(own_token(token, values[picker.token]))

    def from_model(event: gr.EventData, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """Another model in the panel; what is picked in the sidebar stays, and nothing is under way there."""
        try:
            return [*offered(theirs(token, values), Variant.parse(pressed(event)), hardware_of(values)), ""]
        except PaddockError as error:
            return [*[gr.skip()] * (len(outputs) - 1), render.error(error), ""]

    def from_picker(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """What is picked now; where nothing is, the panel stays."""
        try:
            return offered(theirs(token, values), picker.read(values).variant, hardware_of(values))
        except PaddockError:
            return [gr.skip()] * len(outputs)

    def made(runtime: Runtime, values: Values) -> tuple[list[Variant], list[str]]:
        """What is ticked; raises PaddockError."""
        model, names = values[panel.model], values[panel.adapters] or []
        some = tuple(AdapterChoice(name) for name in names if name != ALONE)[:1]
        taking = runtime.describe(runtime.card(Variant(model)), some, hardware_of(values)).modes if some else []
        weights = sorted(float(weight) for weight in values[panel.strengths] or [])
        return combinations(model, values[panel.modes] or [], names, weights, taking)

    def preview(token: gr.OAuthToken | None, values: Values) -> str:
        try:
            return counted(*made(theirs(token, values), values), values[candidates] or [], most)
        except PaddockError as error:
            return render.error(error)

    def add(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        try:
            wanted, _ = made(theirs(token, values), values)
        except PaddockError as error:
            return [gr.skip(), render.error(error)]
        if not wanted:
            return [gr.skip(), render.said(say("Tick at least one quantization."))]
        listed, count, left = extended(values[candidates] or [], wanted, most)
        return [listed, render.said(added(count, left, most))]

    def add_spelled(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """The spellings of the field; those that cannot be used stay in it, with the reason."""
        spelled = [part for part in re.split(r"[\s,;]+", values[panel.spelling] or "") if part][:MOST_TYPED]
        wanted, wrong, errors = [], [], ""
        for spelling in spelled:
            (found,) = find_candidates(theirs(token, values), [spelling], Target(hardware_of(values)))
            if found.variant is not None and not (found.unplanned and found.refused):
                wanted.append(found.variant)
            else:
                wrong.append(spelling)
                errors += render.error(found.unplanned or found.refused or PaddockError(detail=spelling))
        listed, count, left = extended(values[candidates] or [], wanted, most)
        said = render.said(added(count, left, most)) if wanted else ""
        return [listed if count else gr.skip(), errors + said, "\n".join(wrong)]

    outputs = [panel.model, panel.models, *panel.ticked, panel.note]
    asked = {panel.model, *panel.ticked, panel.spelling, candidates, *picker.asked}
    panel.models.click(from_model, asked, [*outputs, picker.under_way], **PRESSED)
    ticks = [group.change for group in (panel.modes, panel.adapters, panel.strengths)]
    gr.on(ticks, preview, asked, panel.note, **AT_ONCE)
    panel.button.click(add, asked, [candidates, panel.note], **AT_ONCE)
    panel.spelling.submit(add_spelled, asked, [candidates, panel.note, panel.spelling], **AT_ONCE)
    follows(picked, from_picker, asked, outputs)


def counted(wanted: Sequence[Variant], left_out: Sequence[str], listed: Sequence[str], most: int) -> str:
    """How many candidates the ticks make, and the server's limit where it is passed."""
    _, count, beyond = extended(listed, wanted, most)
    said = say("{count} to add.", count=count + beyond)
    if beyond:
        said = say(
            "{count} to add, and {listed} are listed: this server compares at most {most} at once, so the first "
            "{room} would be added.",
            count=count + beyond,
            listed=len(listed),
            most=most,
            room=count,
        )
    if left_out:
        said += " " + say("{modes} takes no adapter.", modes=", ".join(left_out))
    return f'<p class="quiet">{escape(said)}</p>'


def added(count: int, left: int, most: int) -> str:
    """What became of the wanted, in a sentence."""
    if left:
        return say(
            "{count} added; {left} found no room: this server compares at most {most} at once. Remove some first.",
            count=count,
            left=left,
            most=most,
        )
    return say("{count} added.", count=count) if count else say("All of them are listed already.")
