"""The Measure tab: what each mode of the picked model costs and is worth, side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import gradio as gr

from models.domain.errors import BadModes, PaddockError
from models.domain.memory.model_info import Offer
from models.domain.messages import Progress
from models.domain.request import REFERENCE_TEXT
from models.domain.results.measured import Measured
from models.domain.results.suggestion import suggest_mode
from models.domain.variant import Variant
from models.studies.measure import measuring

from .compare.pictures import pictures
from .compare.render import suggestion
from .compare.table import modes_table, of_modes
from .page import Page, Tab
from .picker.quantizations import mode_choice
from .shared import render
from .shared.events import AT_ONCE, Values, Visitor, computing, download
from .shared.stops import Stops
from .shared.text import t

USUAL = ("bf16", "int8", "nf4", "gguf")  # a reference, and what people choose between
MOST = 4


def build_measure_tab(page: Page) -> Tab:
    """Draw the tab and wire it."""
    runtime, picker = page.runtime, page.picker
    gr.Markdown(t("measure_lead"), elem_id="measure-lead")
    with gr.Row():
        modes = gr.Dropdown(
            [], multiselect=True, label=t("modes"), info=t("modes_info"), scale=3, elem_id="measure-modes"
        )
        reference = gr.Dropdown(
            [], label=t("reference"), info=t("reference_info"), min_width=180, elem_id="measure-reference"
        )
    with gr.Accordion(t("scored_text"), open=False, elem_id="measure-text-group"):
        text = gr.Textbox(REFERENCE_TEXT, show_label=False, lines=6, max_lines=12, elem_id="measure-text")
    with gr.Row(elem_id="measure-buttons"):
        go = gr.Button(t("measure"), variant="primary", elem_id="measure-go")
        stop_button = gr.Button(t("stop"), interactive=False, elem_id="measure-stop")
        csv = gr.Button(t("csv"), interactive=False, elem_id="measure-csv")
        markdown = gr.Button(t("markdown"), interactive=False, elem_id="measure-markdown")
    status = gr.HTML(elem_id="measure-status", elem_classes="status-line")
    shown = gr.HTML(elem_id="measured", elem_classes="flush")
    stops = Stops()

    async def measure(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[list[Any]]:
        visitor, names, against = Visitor.of(request, token), values[modes], values[reference]
        stop, rows, line = stops.begin(visitor.session), list[Measured](), ""
        count = len({*(names or []), *([against] if against else [])})
        yield [render.waiting(), "", *_buttons(running=True, rows=rows)]
        try:
            if not names:
                raise BadModes(reason="none is picked")
            model = picker.read(values).variant.model
            events = measuring(runtime, model, names, values[text] or "", against or "", stop, visitor.token)
            async with aclosing(events) as stream:
                async for event in stream:
                    if isinstance(event, Measured):
                        rows.append(event)
                        yield [gr.skip(), show(rows), *[gr.skip()] * 4]
                    elif (now := _status(event, len(rows) + 1, count)) != line:
                        line = now
                        yield [line, *[gr.skip()] * 5]
            stopped = "Stopped" if stop.is_set() else "Done"
            line = render.said(f"{stopped}: {len(rows)} of {count} modes measured.")
        except PaddockError as error:
            line = render.error(error)
        finally:
            stops.end(visitor.session, stop)
        yield [line, show(rows), *_buttons(running=False, rows=rows)]

    def stop_measuring(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    event = go.click(
        measure,
        {modes, reference, text, *picker.asked},
        [status, shown, go, stop_button, csv, markdown],
        **computing(runtime.settings.slots) | {"show_progress_on": [status]},
    )
    stop_button.click(stop_measuring, None, None, **AT_ONCE)
    csv.click(None, None, None, js=download("#measured", "csv"), api_visibility="private")
    markdown.click(None, None, None, js=download("#measured", "markdown"), api_visibility="private")

    offered_for = gr.State("")

    def offer(model: str | None, before: str) -> list[Any]:
        """The modes of the picked model; what was chosen stays while the model does."""
        if model == before:
            return [gr.skip()] * 3
        try:
            plans = runtime.describe(runtime.card(Variant(model or ""))).plans
        except PaddockError:  # the picker's card says why
            return [gr.skip()] * 3
        choices = [(mode_choice(name, planned), name) for name, planned in plans.items()]
        references = [("the most exact", ""), *((name, name) for name in plans)]
        return [gr.Dropdown(choices, value=default_modes(plans)), gr.Dropdown(references, value=""), model]

    return Tab(status, [event], (offer, [picker.model, offered_for], [modes, reference, offered_for]))


def default_modes(plans: Mapping[str, Offer]) -> list[str]:
    """The modes that people choose between, as far as they fit."""
    fitting = [name for name, planned in plans.items() if planned.fits]
    return [name for name in USUAL if name in fitting] or fitting[:MOST]


def show(rows: Sequence[Measured]) -> str:
    """The conclusion, the pictures and the table of what is measured so far."""
    return suggestion(suggest_mode(rows)) + pictures(of_modes(rows)) + modes_table(rows)


def _status(step: Progress, number: int, count: int) -> str:
    return render.progress(replace(step, detail=f"{step.detail} ({number} of {count})"))


def _buttons(running: bool, rows: Sequence[Measured]) -> list[Any]:
    """Measure, Stop, and the two files."""
    files = [gr.Button(interactive=bool(rows))] * 2
    return [gr.Button(interactive=not running), gr.Button(interactive=running), *files]
