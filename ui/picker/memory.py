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
from ..shared.events import AT_ONCE, PRESS, PRESSED, Values, own_token, pressed, raises, signal
from ..shared.language import say
from ..shared.text import both, t
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
        empty = f'<p class="quiet">{both("memory_empty")}</p>'  # until the page first asks
        shown = gr.HTML(empty, elem_id="held", js_on_load=PRESS + LOOK_AGAIN)
        status = gr.HTML(elem_id="held-status")
    return Memory(shown, status)


def wire_memory(runtime: Runtime, memory: Memory, picker: Picker, computed: Iterable[Any]) -> None:
    """Draw the list anew after each pick, as when the page opens, now and then, and after each of `computed`.

    Its buttons eject.
    """

    def look() -> str:
        return in_memory(runtime.held())

    def card(token: gr.OAuthToken | None, values: Values) -> Any:
        return draw_card(runtime, picker.read(values), own_token(token, values[picker.token]))

    def look_closely(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        return [look(), "", card(token, values)]

    def eject(event: gr.EventData, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        why = ""
        try:
            runtime.eject(pressed(event))
        except PaddockError as error:
            why = render.error(error)
        return [look(), why, card(token, values)]

    where, drawn = picker.asked, [memory.shown, memory.status, picker.card]
    memory.shown.tick(look, None, memory.shown, **AT_ONCE)
    memory.shown.click(eject, where, drawn, **PRESSED)
    changed = signal()
    for event in computed:
        raises(event.then, changed)
    # A look that was under way may draw the card of what was picked or planned for before.
    for trigger in (picker.changed.change, picker.context.input):
        raises(trigger, changed)
    changed.change(look_closely, where, drawn, **AT_ONCE)


def in_memory(lines: Iterable[Any]) -> str:
    """The models in memory, and a button that takes each out of it."""
    rows = "".join(_row(line) for line in lines)
    if not rows:
        return f'<p class="quiet">{say("Nothing yet: the first answer loads it.")}</p>'
    return f'<table class="held">{rows}</table>'


def _row(line: Any) -> str:
    name, shown, eject = escape(line.name), escape(say(line.name)), say("Eject")
    return (
        f"<tr><td><b>{shown}</b><br><small>{_figures(line)}</small></td>"
        f'<td><button type="button" class="small-button" data-press="{name}" aria-label="{eject} {shown}" '
        f'title="{say("take it out of memory")}">{eject}</button></td></tr>'
    )


def _figures(line: Any) -> str:
    predicted = size(line.predicted_bytes)
    if not line.engine:
        return say("loading · {predicted} predicted", predicted=predicted)
    title = say("bytes of the weights as loaded, and as planned")
    both = say("{bytes} measured, {predicted} predicted", bytes=size(line.bytes), predicted=predicted)
    return " · ".join([escape(line.engine), f'<span title="{title}">{both}</span>', *_adapters(line), _ago(line)])


def _adapters(line: Any) -> list[str]:
    """How many adapters stay beside a model; their names are their users' own business."""
    if not line.attached:
        return []
    count, bytes_ = len(line.attached), size(sum(adapter.bytes for adapter in line.attached))
    title = say("attached for the next answer")
    many = say("1 adapter, {bytes}", bytes=bytes_)
    if count > 1:
        many = say("{count} adapters, {bytes}", count=count, bytes=bytes_)
    return [f'<span title="{title}">{many}</span>']


def _ago(line: Any) -> str:
    if line.users:
        return say("in use")
    minutes = max(0, time.time() - line.last_used) / 60
    return say("just now") if minutes < 1 else say("{minutes} min ago", minutes=f"{minutes:.0f}")
