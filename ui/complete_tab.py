"""The Complete tab: raw text in, its continuation out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import gradio as gr

from models.domain.gpu_cost import GpuCost
from models.domain.request import CompletionRequest
from models.studies.calls import answer_cost

from .page import Page, Tab
from .picker.cost import draw_cost, wire_cost
from .shared import render, stream, url
from .shared.events import AT_ONCE, Values, Visitor, computing, keep_drafts, named
from .shared.sampling import read_sampling
from .shared.stops import Stops
from .shared.text import t

OPEN_EARLIER = """() => {
  const before = window.paddock.openBefore();
  return [before, { __type__: "update", interactive: Boolean(before[0]) }];
}"""


def build_complete_tab(page: Page) -> Tab:
    """Draw the tab and wire it; the model is given exactly what is in the box."""
    runtime, picker = page.runtime, page.picker
    text = gr.Textbox(
        label=t("text"), placeholder=t("text_placeholder"), lines=14, max_lines=24, buttons=["copy"], elem_id="text"
    )
    with gr.Row():
        go = gr.Button(t("continue"), variant="primary", elem_id="continue")
        stop_button = gr.Button(t("stop"), interactive=False, elem_id="complete-stop")
        back = gr.Button(t("undo"), interactive=False, elem_id="complete-undo")
    cost = draw_cost(runtime, "complete")
    status = gr.HTML(elem_id="complete-status", elem_classes="status-line")
    figures = gr.Markdown(elem_id="complete-figures", elem_classes="figures")
    earlier = gr.HTML(  # the text before the last continuation, for Undo; in a list, since it is no HTML
        [""],
        html_template="",
        js_on_load="watch('value', () => window.paddock.keepBefore(props.value));",
        visible="hidden",
        elem_id="text-before",
    )
    stops = Stops()

    async def continue_text(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[Any]:
        visitor = Visitor.of(request, token, values[picker.token])
        state, stop = stream.Answer(), stops.begin(visitor.session)
        prompt = values[text] or ""
        running = [gr.Button(interactive=False), gr.Button(interactive=True), gr.Button(interactive=False)]
        try:
            sampling = read_sampling(named(page.sampling, values))
            asked = CompletionRequest(picker.read(values).variant, prompt, sampling)
            runtime.check(asked)
            yield [gr.skip(), render.waiting(), "", *running, [prompt]]
            async with aclosing(runtime.answering(asked, stop, visitor.token)) as events:
                async for event in events:
                    state = stream.advance(state, event)
                    text_now = prompt + state.text if state.text else gr.skip()
                    yield [text_now, stream.status(state), *[gr.skip()] * 5]
        except Exception as error:  # else the page would stay busy
            state = stream.failed(state, error)
        finally:
            stops.end(visitor.session, stop)
        ready = [gr.Button(interactive=True), gr.Button(interactive=False), gr.Button(interactive=bool(state.text))]
        line = render.figures(state.usage) if state.usage.finish else ""
        yield [prompt + state.text, stream.status(state), line, *ready, gr.skip()]

    def stop_answer(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    def undo(before: Any) -> tuple[Any, ...]:
        return _only_text(before), gr.Button(interactive=False), [""]

    outputs = [text, status, figures, go, stop_button, back, earlier]

    def count(values: Values, token: str | None) -> GpuCost | None:
        sampling = read_sampling(named(page.sampling, values))
        request = CompletionRequest(picker.read(values).variant, values[text] or "", sampling)
        return answer_cost(runtime, request, token)

    inputs = {text, *picker.asked, *page.sampling.values()}
    event = go.click(
        continue_text,
        inputs,
        outputs,
        **computing(runtime.settings.slots) | {"show_progress_on": [status]},
    )
    wire_cost(runtime, picker, cost, count, inputs, [text.blur, *page.lengths], [event])
    stop_button.click(stop_answer, None, None, **AT_ONCE)
    back.click(undo, earlier, [text, back, earlier], **AT_ONCE)
    text.change(None, text, None, js="(text) => window.paddock.markContinuation(text)", api_visibility="private")
    page.app.load(None, None, [earlier, back], js=OPEN_EARLIER, api_visibility="private")
    keep_drafts(page.app, {"text": text}, {"text": url.parameters("prompt")}, "complete")
    return Tab(
        status,
        [event],
        (text,),
        lambda state: [state.prompt or gr.skip()],
        lambda values: {"prompt": values[text] or ""},
    )


def _only_text(before: Any) -> str:
    match before:
        case [str(text)]:
            return text
    return ""
