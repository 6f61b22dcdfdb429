"""The Chat tab: a conversation with one variant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import gradio as gr

from models.domain.errors import PaddockError
from models.domain.messages import Message, read_history
from models.domain.request import BasePrompt, ChatRequest

from .page import Page, Tab
from .shared import exact, render, stream
from .shared.conversation import as_text, before, drawn, restored
from .shared.events import AT_ONCE, FORGET_PROMPT, IN_ORDER, Values, Visitor, computing, named
from .shared.sampling import draw_base_prompt, read_sampling
from .shared.stops import Stops
from .shared.text import EXAMPLES, t


def build_chat_tab(page: Page) -> Tab:
    """Draw the tab and wire it."""
    runtime, picker = page.runtime, page.picker
    chatbot = gr.Chatbot(
        show_label=False,
        elem_id="chatbot",
        height="100%",
        layout="bubble",
        editable="user",
        buttons=["copy", "copy_all"],
        allow_tags=False,
        latex_delimiters=[],  # formulas stand as they were written
        feedback_options=None,
        placeholder="**Pick a variant and ask it something.**\n\nSpeed, memory and finish stand under each answer.",
        examples=[{"text": text} for text in EXAMPLES],
    )
    status = gr.HTML(elem_id="chat-status", elem_classes="status-line")
    box = gr.Textbox(
        show_label=False,
        placeholder=t("message_placeholder"),
        submit_btn=True,
        lines=1,
        max_lines=8,
        autofocus=True,
        elem_id="message",
    )
    with gr.Column(visible=False, elem_id="base-parts") as base_parts:
        gr.Markdown(
            "**This is a base model.** It only continues text and has no chat template, so the conversation is written "
            "out in these three parts."
        )
        base_prompt = draw_base_prompt()
    with gr.Accordion(t("system"), open=False, elem_id="instruct-parts") as instruct_parts:
        system = gr.Textbox(show_label=False, placeholder=t("system_placeholder"), lines=2, elem_id="system")
    with gr.Accordion(t("prompt_sent"), open=False, elem_id="prompt-sent-group"):
        prompt_sent = gr.Textbox(
            show_label=False, interactive=False, lines=3, max_lines=16, buttons=["copy"], elem_id="prompt-sent"
        )

    stops = Stops()
    ready, busy = {"submit_btn": True, "stop_btn": False}, {"submit_btn": False, "stop_btn": True}

    async def converse(visitor: Visitor, values: Values, turn: Callable[[], tuple[Any, str]]) -> AsyncIterator[Any]:
        """Answer the text of `turn()` after its conversation; whatever fails, the text goes back into the box."""
        state, stop, shown, text = stream.Answer(), stops.begin(visitor.session), gr.skip(), gr.skip()
        try:
            earlier, text = turn()
            shown = drawn(earlier)
            request = asked_for(read_history(earlier), text, values)
            runtime.check(request)
            asked = [*shown, *drawn([{"role": "user", "content": text}])]
            yield asked, gr.Textbox("", **busy), render.waiting(), gr.skip()
            async with aclosing(runtime.answering(request, stop, visitor.token)) as events:
                async for event in events:
                    if stops.dropped(visitor.session, stop):
                        break
                    state = stream.advance(state, event)
                    now = [*asked, *drawn(stream.messages(state))] if state.text else gr.skip()
                    yield now, gr.skip(), stream.status(state), state.prompt or gr.skip()
        except PaddockError as error:
            state = stream.advance(state, error)
        finally:
            dropped = stops.dropped(visitor.session, stop)
            stops.end(visitor.session, stop)
        if dropped:  # the page belongs to whoever dropped it; Gradio sends the last values again, so they are none
            yield (gr.skip(),) * 4
        elif state.unanswered:
            yield shown, gr.Textbox(text, **ready), stream.status(state), gr.skip()
        else:
            yield [*asked, *drawn(stream.messages(state))], gr.Textbox(**ready), stream.status(state), gr.skip()

    def asked_for(history: tuple[Message, ...], text: str, values: Values) -> ChatRequest:
        """The request behind the tab's components; raises VariantError or InputError."""
        opening = (Message("system", values[system]),) if values[system] and values[system].strip() else ()
        return ChatRequest(
            picker.read(values).variant,
            (*opening, *history, Message("user", text)),
            read_sampling(named(page.sampling, values)),
            BasePrompt(**named(base_prompt, values)),
        )

    # The four ways to ask: each says which conversation goes before, and what is asked.

    async def send(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[Any]:
        turn = partial(_sent, values[chatbot], values[box])
        async for shown in converse(Visitor.of(request, token), values, turn):
            yield shown

    async def example(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.SelectData, values: Values
    ) -> AsyncIterator[Any]:
        turn = partial(_sent, values[chatbot], data.value["text"])
        async for shown in converse(Visitor.of(request, token), values, turn):
            yield shown

    async def retry(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.RetryData, values: Values
    ) -> AsyncIterator[Any]:
        turn = partial(before, values[chatbot], data.index)
        async for shown in converse(Visitor.of(request, token), values, turn):
            yield shown

    async def edit(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.EditData, values: Values
    ) -> AsyncIterator[Any]:
        def edited() -> tuple[Any, str]:
            return before(values[chatbot], data.index)[0], exact.read(str(data.value))

        async for shown in converse(Visitor.of(request, token), values, edited):
            yield shown

    async def undo(request: gr.Request, data: gr.UndoData, posted: Any) -> tuple[Any, ...]:
        await stops.silence(str(request.session_hash))
        try:
            earlier, text = before(posted, data.index)
        except PaddockError as error:
            return gr.skip(), gr.skip(), render.error(error)
        return drawn(earlier), gr.Textbox(text, **ready), ""

    async def clear(request: gr.Request) -> tuple[Any, ...]:
        await stops.silence(str(request.session_hash))
        return [], gr.Textbox(**ready), "", ""

    def stop_answer(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    inputs = {box, chatbot, system, *picker.asked, *base_prompt.values(), *page.sampling.values()}
    outputs = [chatbot, box, status, prompt_sent]
    options = computing(runtime.settings.slots) | {"show_progress_on": [status]}
    answered = [
        trigger(handler, inputs, outputs, **options)
        for trigger, handler in (
            (box.submit, send),
            (chatbot.example_select, example),
            (chatbot.retry, retry),
            (chatbot.edit, edit),
        )
    ]
    for event in answered:
        event.then(None, None, None, js=FORGET_PROMPT, api_visibility="private")
    undone = chatbot.undo(undo, chatbot, [chatbot, box, status], **IN_ORDER)
    chatbot.clear(clear, None, [chatbot, box, status, prompt_sent], **IN_ORDER)
    box.stop(stop_answer, None, None, **AT_ONCE)

    def follow_kind(is_base: bool) -> tuple[Any, Any]:
        return gr.Column(visible=is_base), gr.Accordion(visible=not is_base)

    page.app.load(restored, page.conversation, chatbot, **AT_ONCE)
    for changed in (*(event.then for event in answered), undone.then, chatbot.clear):
        changed(None, chatbot, page.conversation, js="(messages) => [messages]", api_visibility="private")
    return Tab(
        status,
        answered,
        (follow_kind, [picker.is_base], [base_parts, instruct_parts]),
        (system, box),
        lambda state: [state.system or gr.skip(), state.prompt or gr.skip()],
        lambda values: {"system": values[system] or "", "prompt": values[box] or ""},
    )


def _sent(posted: Any, text: str) -> tuple[Any, str]:
    return as_text(posted), text
