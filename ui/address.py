"""The page's address: what a link opens, how one is written, and that it follows what is picked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.spec.errors import PaddockError
from models.spec.variant import Variant

from . import render, url
from .adapter_picker import read_variant
from .chat_tab import ChatTab
from .complete_tab import CompleteTab
from .events import AT_ONCE
from .measure_tab import MeasureTab
from .picker import PICKED, Picker, show, shown
from .sampling import read_sampling, sampling_values
from .text import t

if TYPE_CHECKING:
    from models.runtime import Runtime

# A reload or a copied address keeps the variant; a card without data-variant shows an error and nothing was picked.
FOLLOW_VARIANT = """(spelling, card) => {
  const address = new URL(window.location);
  if (spelling && card.includes("data-variant")) {
    address.searchParams.set("variant", spelling); history.replaceState(null, "", address);
  }
}"""
# A prompt that was sent does not come back into the box at the next reload.
FORGET_PROMPT = """() => {
  const address = new URL(window.location);
  address.searchParams.delete("prompt"); history.replaceState(null, "", address);
}"""


def draw_link() -> tuple[gr.Button, gr.Textbox]:
    """The sidebar's part: a button that writes the link, and a box to copy it from."""
    with gr.Accordion(t("link"), open=False, elem_id="link-group"):
        button = gr.Button(t("link_make"), size="sm", elem_id="make-link")
        link = gr.Textbox(show_label=False, interactive=False, buttons=["copy"], lines=2, elem_id="link")
    return button, link


def wire_link(
    button: gr.Button,
    link: gr.Textbox,
    picker: Picker,
    texts: list[Component],
    sampling: list[Component],
    tab: gr.State,
) -> None:
    """Write the link from the tab, [system prompt, message, text], the picker, and the sampling."""

    def write(request: gr.Request, shown: str, system: str, message: str, text: str, *values: Any) -> str:
        try:
            variant, sampling = read_variant(*values[:PICKED]), read_sampling(values[PICKED:])
            prompt = text if shown == "complete" else message
            state = url.PageState(variant, sampling, system, prompt, shown)
        except PaddockError as error:
            return str(error)
        page = str(request.headers.get("referer") or request.request.base_url).partition("?")[0]
        return f"{page}?{url.write(state)}"

    button.click(write, [tab, *texts, *picker.inputs, *sampling], link, **AT_ONCE)


def wire_opening(
    app: gr.Blocks,
    runtime: Runtime,
    picker: Picker,
    sampling: list[Component],
    chat: ChatTab,
    complete: CompleteTab,
    measure: MeasureTab,
    tabs: gr.Tabs,
) -> Any:
    """Fill the page from its address when it opens; what cannot be used is said in each tab. Returns the event."""
    default = Variant.parse(runtime.settings.default_variant)

    def open_link(request: gr.Request) -> list[Any]:
        state, errors = url.read(dict(request.query_params))
        try:
            picked = show(runtime, state.variant or default)
        except PaddockError as error:
            errors.append(error)
            picked = shown(runtime, lambda: default)
        values = sampling_values(state.sampling) if state.sampling else [gr.skip() for _ in sampling]
        in_complete = state.tab == "complete"
        texts = [state.system, "" if in_complete else state.prompt, state.prompt if in_complete else ""]
        return [
            *picked,
            *values,
            *(text or gr.skip() for text in texts),
            *["".join(map(render.error, errors))] * 3,  # gr.Warning would need the queue, which may be full
            gr.Tabs(selected=state.tab),
        ]

    statuses = [chat.status, complete.status, measure.status]
    filled = [*picker.outputs, *sampling, chat.system, chat.box, complete.text, *statuses, tabs]
    opened = app.load(open_link, None, filled, **AT_ONCE)
    for event in (opened, *picker.picked, *picker.weighed):
        event.then(None, [picker.spelling, picker.card], None, js=FOLLOW_VARIANT, api_visibility="private")
    for event in (*chat.answered, *complete.answered):
        event.then(None, None, None, js=FORGET_PROMPT, api_visibility="private")
    return opened
