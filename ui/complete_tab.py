"""The Complete tab: raw text in, its continuation out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import gradio as gr

from models.domain.errors import PaddockError
from models.domain.request import CompletionRequest

from .page import Page, Tab
from .shared import render, stream
from .shared.events import AT_ONCE, FORGET_PROMPT, Values, Visitor, computing, named
from .shared.sampling import read_sampling
from .shared.stops import Stops
from .shared.text import t


def build_complete_tab(page: Page) -> Tab:
    """Draw the tab and wire it; the model is given exactly what is in the box."""
    runtime, picker = page.runtime, page.picker
    text = gr.Textbox(
        label=t("text"), placeholder=t("text_placeholder"), lines=14, max_lines=24, buttons=["copy"], elem_id="text"
    )
    status = gr.HTML(elem_id="complete-status", elem_classes="status-line")
    figures = gr.Markdown(elem_id="complete-figures", elem_classes="figures")
    with gr.Row():
        go = gr.Button(t("continue"), variant="primary", elem_id="continue")
        stop_button = gr.Button(t("stop"), interactive=False, elem_id="complete-stop")
        back = gr.Button(t("undo"), interactive=False, elem_id="complete-undo")
    earlier = gr.State("")  # the text before the last continuation, for Undo
    stops = Stops()

    async def continue_text(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[Any]:
        visitor = Visitor.of(request, token)
        state, stop = stream.Answer(), stops.begin(visitor.session)
        prompt = values[text] or ""
        running = [gr.Button(interactive=False), gr.Button(interactive=True), gr.Button(interactive=False)]
        try:
            sampling = read_sampling(named(page.sampling, values))
            asked = CompletionRequest(picker.read(values).variant, prompt, sampling)
            runtime.check(asked)
            yield [gr.skip(), render.waiting(), "", *running, prompt]
            async with aclosing(runtime.answering(asked, stop, visitor.token)) as events:
                async for event in events:
                    state = stream.advance(state, event)
                    text_now = prompt + state.text if state.text else gr.skip()
                    yield [text_now, stream.status(state), *[gr.skip()] * 5]
        except PaddockError as error:
            state = stream.advance(state, error)
        finally:
            stops.end(visitor.session, stop)
        ready = [gr.Button(interactive=True), gr.Button(interactive=False), gr.Button(interactive=bool(state.text))]
        line = render.figures(state.usage) if state.usage.finish else ""
        yield [prompt + state.text, stream.status(state), line, *ready, gr.skip()]

    def stop_answer(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    def undo(before: str) -> tuple[Any, ...]:
        return before, gr.Button(interactive=False)

    outputs = [text, status, figures, go, stop_button, back, earlier]
    event = go.click(
        continue_text,
        {text, *picker.asked, *page.sampling.values()},
        outputs,
        **computing(runtime.settings.slots) | {"show_progress_on": [status]},
    )
    stop_button.click(stop_answer, None, None, **AT_ONCE)
    back.click(undo, earlier, [text, back], **AT_ONCE)
    event.then(None, None, None, js=FORGET_PROMPT, api_visibility="private")
    return Tab(
        status,
        [event],
        None,
        (text,),
        lambda state: [state.prompt or gr.skip()],
        lambda values: {"prompt": values[text] or ""},
    )
