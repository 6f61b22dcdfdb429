"""The Train tab: rows and a name in, an adapter out, with both losses in sight while it learns.

One training at a time on a machine, in a process of its own: a reload or a restart of the app finds it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from models.domain.errors import PaddockError, TrainingBusy
from models.training.runs.preview import Preview, preview
from models.training.runs.trainings import Training, Trainings

from ..page import Page, Tab
from ..shared import render
from ..shared.events import AT_ONCE, IN_ORDER, PRESSED, Values, follows, pressed
from ..shared.operator import key_box, require
from ..shared.text import both
from . import draw
from .endpoints import build_endpoints
from .form import Form, draw_form

LOOK_S = 1.5
LONGEST_PROMPT = 500  # characters, of a held-out row that becomes the prompt of a comparison
# A press, after a question where something would be lost.
PRESS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-press]');
  if (!button || (button.dataset.sure && !window.confirm(button.dataset.sure))) return;
  trigger('click', { pressed: button.dataset.press });
});"""
OPEN_WORKSHOP = "(handed) => { if (handed) window.paddock.openTab('workshop'); }"
HANDED = ("save", "to-gguf", "push")


def build_train_tab(page: Page) -> Tab:
    """Draw the tab and wire it; where it is off it says why."""
    if not page.runtime.settings.workshop:
        closed = gr.HTML(draw.off(), elem_id="train-off")
        page.opening("train").change(draw.off, None, closed, **AT_ONCE)
        return Tab(gr.HTML(elem_id="train-status", elem_classes="status-line"), [])
    gr.HTML(f'<p class="quiet">{both("train_lead")}</p>', elem_classes="flush")
    key = key_box(page.runtime.settings, "train-key")
    base = gr.HTML(elem_id="train-base", elem_classes="flush")
    form = draw_form()
    status = gr.HTML(elem_id="train-status", elem_classes="status-line")
    found = gr.HTML(elem_id="train-preview", elem_classes="flush")
    curves = gr.HTML(elem_id="train-curves", elem_classes="flush")
    cards = gr.HTML(elem_id="train-cards", elem_classes="flush", js_on_load=PRESS)
    timer = gr.Timer(LOOK_S, active=False)
    _wire_base(page, base)
    trainings = Trainings(page.runtime.settings)
    _wire_look(page, key, form, status, found)
    _wire_trainings(page, trainings, key, form, [status, found, curves, cards, timer])
    build_endpoints(trainings)
    return Tab(status, [])


def _wire_base(page: Page, base: gr.HTML) -> None:
    """Say what would be trained, as it is picked."""

    def follow(values: Values) -> str:
        try:
            return draw.base(page.picker.read(values).variant)
        except PaddockError as error:
            return render.error(error)

    follows(page.picked_in("train"), follow, page.picker.asked, [base])


def _wire_look(page: Page, key: gr.Textbox, form: Form, status: gr.HTML, found: gr.HTML) -> None:
    """Rows and plan, before anything is trained."""

    def look(request: gr.Request, values: Values) -> Iterator[list[Any]]:
        try:
            require(page.runtime.settings, request, values[key])
            asked = form.read(values, page.picker.read(values).variant)
            yield [render.waiting(), ""]
            for step in preview(asked, page.runtime.settings):
                if isinstance(step, Preview):
                    yield ["", draw.preview(step)]
                else:
                    yield [render.progress(step), gr.skip()]
        except PaddockError as error:
            yield [render.error(error), ""]

    inputs = {key, *page.picker.asked, *form.inputs}
    form.look.click(look, inputs, [status, found], **IN_ORDER)


def _wire_trainings(page: Page, trainings: Trainings, key: gr.Textbox, form: Form, outputs: list[Any]) -> None:
    settings = page.runtime.settings
    *_, cards, timer = outputs

    def shown(line: Any = "", found: Any = None) -> list[Any]:
        now = [_drawn(each) for each in trainings.all()]
        running = any(each.training.status == "running" for each in now)
        below = gr.skip() if found is None else found
        return [line, below, draw.curves(now), draw.cards(now), gr.Timer(active=running)]

    def start(request: gr.Request, values: Values) -> list[Any]:
        try:
            require(settings, request, values[key])
            trainings.begin(form.read(values, page.picker.read(values).variant))
        except TrainingBusy as error:
            return shown(render.error(error))
        except PaddockError as error:
            return [render.error(error), *[gr.skip()] * 4]
        return shown("", "")

    def look(request: gr.Request, values: Values) -> list[Any]:
        try:
            require(settings, request, values[key])
        except PaddockError:  # who may not train sees nothing of it
            return [*[gr.skip()] * 4, gr.Timer(active=False)]
        return shown(gr.skip())

    def press(event: gr.EventData, request: gr.Request, values: Values) -> list[Any]:
        action, _, name = pressed(event).partition(":")
        try:
            require(settings, request, values[key])
            if action in HANDED:
                return [*[gr.skip()] * 5, _handed(trainings, action, name)]
            trainings.act(action, name)
        except PaddockError as error:
            return [*shown(render.error(error)), ""]
        return [*shown(), ""]

    inputs = {key, *page.picker.asked, *form.inputs}
    form.start.click(start, inputs, outputs, **AT_ONCE)
    acted = cards.click(press, {key}, [*outputs, page.handed], **PRESSED)
    acted.then(None, page.handed, None, js=OPEN_WORKSHOP, api_visibility="private")
    timer.tick(look, {key}, outputs, **AT_ONCE)
    key.submit(look, {key}, outputs, **AT_ONCE)
    page.opening("train").change(look, {key}, outputs, **AT_ONCE)


def _drawn(training: Training) -> draw.Drawn:
    asked = training.seen.prompts[0][:LONGEST_PROMPT] if training.seen.prompts else ""
    return draw.Drawn(training, asked if training.status == "finished" else "")


def _handed(trainings: Trainings, action: str, name: str) -> str:
    """What a form of the workshop is filled with."""
    training = trainings.one(name)
    model = training.asked.variant.model.rpartition("/")[2]
    folder = Path(trainings.settings.models_dir or "~/models", "me", f"{model}-{name}")
    fields = {
        "save": {"out": str(folder)},
        "to-gguf": {"out": str(folder / f"{model}-{name}-q4_k_m.gguf")},
        "push": {"path": str(trainings.out(name))},
    }
    return json.dumps({"action": action, "fields": fields[action], "at": training.begun})
