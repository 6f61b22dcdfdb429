"""The sidebar's list of what is in memory, with a button a line that takes it out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.domain.errors import PaddockError
from models.domain.units import size

from ..shared import render
from ..shared.events import AT_ONCE, PRESS, Values, pressed
from ..shared.text import t
from .picked import draw_card
from .picker import Picker

if TYPE_CHECKING:
    from models.runtime import Runtime


# Loads of other visitors show up soon; a page that nobody looks at asks for nothing.
LOOK_AGAIN = "setInterval(() => { if (document.visibilityState === 'visible') trigger('tick'); }, 10000);"


@dataclass(frozen=True)
class Memory:
    """The list, and the line that says why something stays in it."""

    shown: gr.HTML
    status: gr.HTML


def build_memory() -> Memory:
    """Draw the list."""
    with gr.Accordion(t("memory"), open=True, elem_id="memory"):
        shown = gr.HTML(in_memory([]), elem_id="held", js_on_load=PRESS + LOOK_AGAIN)
        status = gr.HTML(elem_id="held-status")
    return Memory(shown, status)


def wire_memory(runtime: Runtime, memory: Memory, picker: Picker, app: gr.Blocks, computed: Iterable[Any]) -> None:
    """Draw the list anew when the page opens, now and then, and after each of `computed`; let its buttons eject."""

    def look() -> str:
        return in_memory(runtime.held())

    def look_closely(values: Values) -> list[Any]:
        return [look(), "", draw_card(runtime, picker.read(values))]

    def eject(event: gr.EventData, values: Values) -> list[Any]:
        why = ""
        try:
            runtime.eject(pressed(event))
        except PaddockError as error:
            why = render.error(error)
        return [look(), why, draw_card(runtime, picker.read(values))]

    where, drawn = picker.asked, [memory.shown, memory.status, picker.card]
    app.load(look, None, memory.shown, **AT_ONCE)
    memory.shown.tick(look, None, memory.shown, **AT_ONCE)
    memory.shown.click(eject, where, drawn, **AT_ONCE)
    for event in computed:
        event.then(look_closely, where, drawn, **AT_ONCE)


def in_memory(lines: Iterable[Any]) -> str:
    """The models in memory, and a button that takes each out of it."""
    rows = "".join(_row(line) for line in lines)
    if not rows:
        return '<p class="quiet">Nothing yet: the first answer loads it.</p>'
    return f'<table class="held">{rows}</table>'


def _row(line: Any) -> str:
    name = escape(line.name)
    return (
        f"<tr><td><b>{name}</b><br><small>{_figures(line)}</small></td>"
        f'<td><button type="button" class="small-button" data-press="{name}" aria-label="Eject {name}" '
        f'title="take it out of memory">Eject</button></td></tr>'
    )


def _figures(line: Any) -> str:
    if not line.engine:
        return f"loading · {size(line.predicted_bytes)} predicted"
    bytes_ = f'<span title="bytes of the weights as loaded, and as planned">{size(line.bytes)} measured, '
    bytes_ += f"{size(line.predicted_bytes)} predicted</span>"
    return " · ".join([escape(line.engine), bytes_, *_adapters(line), _ago(line)])


def _adapters(line: Any) -> list[str]:
    """How many adapters stay beside a model; their names are their users' own business."""
    if not line.attached:
        return []
    count, bytes_ = len(line.attached), size(sum(adapter.bytes for adapter in line.attached))
    return [f'<span title="attached for the next answer">{count} adapter{"s"[: count > 1]}, {bytes_}</span>']


def _ago(line: Any) -> str:
    if line.users:
        return "in use"
    seconds = max(0, time.time() - line.last_used)
    return "just now" if seconds < 60 else f"{seconds / 60:.0f} min ago"
