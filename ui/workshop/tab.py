"""The Workshop tab: look inside of a checkpoint, write it otherwise, publish it, and tidy the disk.

One piece of work at a time on a server, which goes on while the page is reloaded or closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError, WorkshopBusy
from models.weights.kept import free_disk, kept, remove
from models.workshop.asked import KINDS, Action, Asked, Bench

from ..page import Page, Tab
from ..shared import render
from ..shared.events import AT_ONCE, Fields, Values, named
from ..shared.operator import key_box, require
from ..shared.text import both, t
from . import draw

LOOK_S = 1.0


@dataclass(frozen=True)
class Form:
    """What one of the tabs asks for, and the button that starts it."""

    action: Action
    fields: Fields
    go: gr.Button


def build_workshop_tab(page: Page) -> Tab:
    """Draw the tab and wire it; where it is off it says why."""
    if not page.runtime.settings.workshop:
        closed = gr.HTML(draw.off(), elem_id="workshop-off")
        page.opening("workshop").change(draw.off, None, closed, **AT_ONCE)
        return Tab(gr.HTML(elem_id="workshop-status", elem_classes="status-line"), [])
    gr.HTML(f'<p class="quiet">{both("workshop_lead")}</p>', elem_classes="flush")
    key = key_box(page.runtime.settings, "workshop-key")
    with gr.Tabs(elem_id="workshop-tabs") as tabs:
        forms = [_draw(action) for action in ("show", "to-gguf", "save", "convert", "push")]
        with gr.Tab(t("workshop_disk")):
            tidy = _draw_disk()
    with gr.Row(elem_id="workshop-line"):
        status = gr.HTML(elem_id="workshop-status", elem_classes="status-line")
        stop = gr.Button(t("stop"), visible=False, size="sm", scale=0, elem_id="workshop-stop")
    result = gr.HTML(elem_id="workshop-result", elem_classes="flush")
    timer = gr.Timer(LOOK_S, active=False)
    _wire(page, key, forms, [status, result, stop, timer])
    _wire_disk(page, key, tidy, status, result)
    _wire_handed(page, forms, tabs)
    return Tab(status, [])


def _draw(action: Action) -> Form:
    name = action.replace("-", "_")
    with (
        gr.Tab(t(f"workshop_{name}"), id=action, elem_id=f"workshop-{action}"),
        gr.Column(elem_classes="workshop-form"),
    ):
        fields = _FIELDS[action]()
        words = {"show": "workshop_look", "push": "workshop_send"}.get(action, "workshop_write")
        go = gr.Button(t(words), variant="primary", elem_id=f"workshop-{action}-go", scale=0)
    return Form(action, fields, go)


def _box(name: str, info: str = "", placeholder: str = "", value: str = "") -> gr.Textbox:
    about = t(f"{name}_info") if info == "" else t(info)
    return gr.Textbox(value, label=t(name), info=about, placeholder=placeholder, max_lines=1)


def _shard() -> gr.Textbox:
    return gr.Textbox("5GB", label=t("workshop_shard"), max_lines=1)


def _out_folder(example: str) -> gr.Textbox:
    return _box("workshop_out_folder", "workshop_out_info", example)


def _push_fields() -> Fields:
    return {
        "path": _box("workshop_path"),
        "repo": gr.Textbox(label=t("workshop_repo"), placeholder="OWNER/NAME", max_lines=1),
        "only_show": gr.Checkbox(True, label=t("workshop_only_show")),
        "private": gr.Checkbox(True, label=t("workshop_private")),
        "base": _box("workshop_base"),
        "licence": _box("workshop_licence"),
        "licence_file": _box("workshop_licence_file"),
    }


_FIELDS: dict[Action, Callable[[], Fields]] = {
    "show": lambda: {"path": _box("workshop_path", placeholder="~/models/Llama-2-7b")},
    "to-gguf": lambda: {
        "kind": gr.Dropdown([*KINDS], value=KINDS[0], label=t("workshop_kind")),
        "out": _box("workshop_out_file", "workshop_out_info", "~/models/me/mine/mine-q4_k_m.gguf"),
    },
    "save": lambda: {"out": _out_folder("~/models/me/mine"), "shard": _shard()},
    "convert": lambda: {
        "path": _box("workshop_meta", placeholder="~/llama-2-7b"),
        "out": _out_folder("~/models/me/llama-2-7b"),
        "shard": _shard(),
    },
    "push": _push_fields,
}


def _wire(page: Page, key: gr.Textbox, forms: list[Form], outputs: list[Component]) -> None:
    runtime = page.runtime
    bench = Bench(runtime)

    def shown(told: PaddockError | None = None) -> list[Any]:
        work = bench.work
        running = work is not None and not work.ended
        line = render.error(told) if told else draw.status(work)
        return [line, draw.result(work), gr.Button(visible=running), gr.Timer(active=running)]

    def starting(form: Form) -> Callable[..., list[Any]]:
        def start(request: gr.Request, values: Values) -> list[Any]:
            try:
                require(runtime.settings, request, values[key])
            except PaddockError as error:  # who may not use it sees nothing of it
                return [render.error(error), "", gr.Button(visible=False), gr.Timer(active=False)]
            try:
                given = named(form.fields, values)
                variant = str(page.picker.read(values).variant) if not given.get("path") else ""
                if not bench.begin(Asked(form.action, variant, **given)):
                    raise WorkshopBusy
            except PaddockError as error:
                return shown(error)
            return shown()

        return start

    def look(request: gr.Request, values: Values) -> list[Any]:
        try:
            require(runtime.settings, request, values[key])
        except PaddockError:  # who may not use it sees nothing of it
            return [gr.skip(), gr.skip(), gr.skip(), gr.Timer(active=False)]
        return shown() if bench.work else [gr.skip()] * 4

    def end(request: gr.Request, values: Values) -> None:
        require(runtime.settings, request, values[key])
        bench.stop()

    timer, stop = outputs[-1], outputs[-2]
    assert isinstance(timer, gr.Timer)
    assert isinstance(stop, gr.Button)
    for form in forms:
        inputs = {key, *page.picker.asked, *form.fields.values()}
        form.go.click(starting(form), inputs, outputs, **AT_ONCE)
    timer.tick(look, {key}, outputs, **AT_ONCE)
    stop.click(end, {key}, None, **AT_ONCE)
    page.opening("workshop").change(look, {key}, outputs, **AT_ONCE)
    key.submit(look, {key}, outputs, **AT_ONCE)


def _wire_handed(page: Page, forms: list[Form], tabs: gr.Tabs) -> None:
    """Fill a form with what another tab hands over, and open it; nothing is begun."""

    def fill(handed: str) -> list[Any]:
        asked = json.loads(handed)
        values = [
            asked["fields"].get(name, gr.skip()) if form.action == asked["action"] else gr.skip()
            for form in forms
            for name in form.fields
        ]
        return [gr.Tabs(selected=asked["action"]), *values]

    filled = [box for form in forms for box in form.fields.values()]
    page.handed.change(fill, page.handed, [tabs, *filled], **AT_ONCE)


@dataclass(frozen=True)
class Disk:
    """The list of what lies on the disk, and what of it goes."""

    look: gr.Button
    table: gr.HTML
    name: gr.Dropdown
    remove: gr.Button


def _draw_disk() -> Disk:
    with gr.Column(elem_classes="workshop-form"):
        look = gr.Button(t("workshop_list"), variant="primary", elem_id="workshop-disk-go", scale=0)
    table = gr.HTML(elem_id="workshop-disk", elem_classes="flush")
    with gr.Row(elem_classes="workshop-form", visible=False) as row:
        name = gr.Dropdown([], label=t("workshop_name"), info=t("workshop_name_info"), elem_id="workshop-name")
        gone = gr.Button(t("workshop_remove"), variant="stop", elem_id="workshop-remove", scale=0)
    look.click(lambda: gr.Row(visible=True), None, row, **AT_ONCE)
    return Disk(look, table, name, gone)


def _wire_disk(page: Page, key: gr.Textbox, tidy: Disk, status: gr.HTML, result: gr.HTML) -> None:
    settings = page.runtime.settings

    def listing(request: gr.Request, values: Values) -> list[Any]:
        try:
            require(settings, request, values[key])
            return listed("")
        except PaddockError as error:
            return [gr.skip(), gr.skip(), render.error(error), ""]

    def listed(line: str) -> list[Any]:
        found = kept(settings)
        names = [each.name for each in found if not each.in_use]
        return [draw.disk(found, free_disk(settings)), gr.Dropdown(names, value=None), line, ""]

    def drop(request: gr.Request, values: Values) -> list[Any]:
        try:
            require(settings, request, values[key])
            gone = remove(settings, str(values[tidy.name] or ""))
        except PaddockError as error:
            return [gr.skip(), gr.skip(), render.error(error), ""]
        return listed(render.said(draw.removed(gone)))

    outputs = [tidy.table, tidy.name, status, result]
    tidy.look.click(listing, {key}, outputs, **AT_ONCE)
    tidy.remove.click(drop, {key, tidy.name}, outputs, **AT_ONCE)
