"""The page's address: what a link opens, how one is written, and that it follows what is picked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError
from models.domain.variant import Variant

from . import url
from .chat_tab import ChatTab
from .compare.setup import FIRST, reference_choice
from .compare.tab import CompareTab
from .complete_tab import CompleteTab
from .measure_tab import MeasureTab
from .picker.picked import ASKED, Pick, nothing, read_picked, show, shown
from .picker.picker import Picker
from .shared import render
from .shared.events import AT_ONCE
from .shared.sampling import read_sampling, sampling_values, within
from .shared.text import t

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


class Pages(NamedTuple):
    """The tabs that a link can open and fill."""

    chat: ChatTab
    complete: CompleteTab
    compare: CompareTab
    measure: MeasureTab


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
    pages: Pages,
    sampling: list[Component],
    tab: gr.State,
) -> None:
    """Write the link from what the shown tab holds, the picker, and the sampling."""
    setup = pages.compare.setup
    texts = [pages.chat.system, pages.chat.box, pages.complete.text, setup.system, setup.prompt]

    def write(
        request: gr.Request,
        shown: str,
        listed: list[str] | None,
        reference: str | None,
        chat_system: str,
        message: str,
        text: str,
        system: str,
        prompt: str,
        *values: Any,
    ) -> str:
        try:
            variant, sampling = read_picked(*values[:ASKED]), read_sampling(values[ASKED:])
            state = url.PageState(variant, sampling, chat_system, text if shown == "complete" else message, shown)
            if shown == "compare":
                variants = tuple(map(Variant.parse, listed or []))
                held_against = Variant.parse(reference) if reference else None
                state = url.PageState(variant, sampling, system, prompt, shown, variants, held_against)
            query = url.write(state)
        except PaddockError as error:
            return str(error)
        page = str(request.headers.get("referer") or request.request.base_url).partition("?")[0]
        return f"{page}?{query}"

    inputs = [tab, setup.variants, setup.reference, *texts, *picker.asked, *sampling]
    button.click(write, inputs, link, **AT_ONCE)


def wire_opening(
    app: gr.Blocks,
    runtime: Runtime,
    picker: Picker,
    sampling: list[Component],
    pages: Pages,
    tabs: gr.Tabs,
) -> Any:
    """Fill the page from its address when it opens; what cannot be used is said in each tab. Returns the event."""
    default = Variant.parse(runtime.settings.default_variant)

    def pick(state: url.PageState, errors: list[PaddockError]) -> list[Any]:
        """What the link names; what cannot be used is said, and nothing is picked in its place."""
        if state.unread:
            return nothing(state.unread, str(default), errors[0])
        if state.variant is None:
            return shown(runtime, lambda: default, Pick())
        try:
            return show(runtime, state.variant)
        except PaddockError as error:
            errors.append(error)
            return nothing(str(state.variant), str(default), error)

    def open_link(request: gr.Request) -> list[Any]:
        state, errors = url.read(dict(request.query_params))
        picked = pick(state, errors)
        values = [gr.skip() for _ in sampling]
        if state.sampling:
            values = sampling_values(within(state.sampling, runtime.settings.max_new_tokens, errors))
        in_complete, in_compare = state.tab == "complete", state.tab == "compare"
        texts = [
            "" if in_compare else state.system,
            "" if in_complete or in_compare else state.prompt,
            state.prompt if in_complete else "",
            state.system if in_compare else "",
            state.prompt if in_compare else "",
        ]
        spellings = [str(variant) for variant in state.variants]
        reference = reference_choice(spellings, str(state.reference or FIRST))
        return [
            *picked,
            *values,
            *(text or gr.skip() for text in texts),
            *([spellings, reference] if spellings else [gr.skip()] * 2),
            *["".join(map(render.error, errors))] * 4,  # gr.Warning would need the queue, which may be full
            gr.Tabs(selected=state.tab),
        ]

    chat, complete, setup = pages.chat, pages.complete, pages.compare.setup
    statuses = [chat.status, complete.status, pages.compare.status, pages.measure.status]
    texts = [chat.system, chat.box, complete.text, setup.system, setup.prompt]
    filled = [*picker.outputs, *sampling, *texts, setup.variants, setup.reference, *statuses, tabs]
    opened = app.load(open_link, None, filled, **AT_ONCE)
    for event in (opened, *picker.picked, *picker.weighed):
        event.then(None, [picker.spelling, picker.card], None, js=FOLLOW_VARIANT, api_visibility="private")
    for event in (*chat.answered, *complete.answered):  # in Compare the prompt stays where it was written
        event.then(None, None, None, js=FORGET_PROMPT, api_visibility="private")
    return opened
