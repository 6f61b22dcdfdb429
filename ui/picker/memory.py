"""The sidebar's list of what is in memory, with a button a line that takes it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.domain.errors import PaddockError

from ..shared import render
from ..shared.events import AT_ONCE
from ..shared.press import PRESS, pressed
from ..shared.text import t
from . import render_memory
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
        shown = gr.HTML(render_memory.held([]), elem_id="held", js_on_load=PRESS + LOOK_AGAIN)
        status = gr.HTML(elem_id="held-status")
    return Memory(shown, status)


def wire_memory(runtime: Runtime, memory: Memory, picker: Picker, app: gr.Blocks, computed: Iterable[Any]) -> None:
    """Draw the list anew when the page opens, now and then, and after each of `computed`; let its buttons eject."""

    def look() -> str:
        return render_memory.held(runtime.held())

    def look_closely(context: float, *values: Any) -> list[Any]:
        return [look(), "", draw_card(runtime, context, *values)]

    def eject(event: gr.EventData, context: float, *values: Any) -> list[Any]:
        why = ""
        try:
            runtime.eject(pressed(event))
        except PaddockError as error:
            why = render.error(error)
        return [look(), why, draw_card(runtime, context, *values)]

    where, drawn = [picker.context, *picker.asked], [memory.shown, memory.status, picker.card]
    app.load(look, None, memory.shown, **AT_ONCE)
    memory.shown.tick(look, None, memory.shown, **AT_ONCE)
    memory.shown.click(eject, where, drawn, **AT_ONCE)
    for event in computed:
        event.then(look_closely, where, drawn, **AT_ONCE)
