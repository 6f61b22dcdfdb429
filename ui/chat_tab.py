"""The Chat tab: a conversation with one variant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError
from models.domain.messages import Message, read_history
from models.domain.request import BasePrompt, ChatRequest

from .picker.picked import ASKED, read_picked
from .picker.picker import Picker
from .shared import exact, render, stream
from .shared.base_prompt import draw_base_prompt
from .shared.conversation import as_text, before, drawn
from .shared.events import AT_ONCE, IN_ORDER, computing
from .shared.sampling import read_sampling
from .shared.stops import Stops
from .shared.text import EXAMPLES, t
from .shared.visitor import Visitor

if TYPE_CHECKING:
    from models.runtime import Runtime


@dataclass(frozen=True)
class ChatTab:
    """The parts that the rest of the page fills or remembers."""

    chatbot: gr.Chatbot
    box: gr.Textbox
    status: gr.HTML
    system: gr.Textbox
    base_parts: gr.Column
    instruct_parts: gr.Accordion
    answered: list[Any]  # the events after which something was computed
    undone: Any


def build_chat_tab(runtime: Runtime, picker: Picker, sampling: list[Component]) -> ChatTab:
    """Draw the tab and wire it."""
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

    async def converse(
        visitor: Visitor, values: tuple[Any, ...], turn: Callable[[], tuple[Any, str]]
    ) -> AsyncIterator[Any]:
        """Answer the text of `turn()` after its conversation; whatever fails, the text goes back into the box."""
        state, stop, shown, text = stream.Answer(), stops.begin(visitor.session), gr.skip(), gr.skip()
        try:
            earlier, text = turn()
            shown = drawn(earlier)
            request = _request(read_history(earlier), text, values)
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

    # The four ways to ask: each says which conversation goes before, and what is asked.

    async def send(
        request: gr.Request, token: gr.OAuthToken | None, typed: str, posted: Any, *values: Any
    ) -> AsyncIterator[Any]:
        async for shown in converse(Visitor.of(request, token), values, lambda: (as_text(posted), typed)):
            yield shown

    async def example(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.SelectData, typed: str, posted: Any, *values: Any
    ) -> AsyncIterator[Any]:
        async for shown in converse(Visitor.of(request, token), values, lambda: (as_text(posted), data.value["text"])):
            yield shown

    async def retry(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.RetryData, typed: str, posted: Any, *values: Any
    ) -> AsyncIterator[Any]:
        async for shown in converse(Visitor.of(request, token), values, lambda: before(posted, data.index)):
            yield shown

    async def edit(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.EditData, typed: str, posted: Any, *values: Any
    ) -> AsyncIterator[Any]:
        def edited() -> tuple[Any, str]:
            return before(posted, data.index)[0], exact.read(str(data.value))

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

    inputs = [box, chatbot, *picker.asked, system, *base_prompt, *sampling]
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
    undone = chatbot.undo(undo, chatbot, [chatbot, box, status], **IN_ORDER)
    chatbot.clear(clear, None, [chatbot, box, status, prompt_sent], **IN_ORDER)
    box.stop(stop_answer, None, None, **AT_ONCE)
    return ChatTab(chatbot, box, status, system, base_parts, instruct_parts, answered, undone)


def _request(history: tuple[Message, ...], text: str, values: tuple[Any, ...]) -> ChatRequest:
    """The request behind the tab's components, in the order of its inputs; raises VariantError or InputError."""
    system, instruction, question, answer, *sampling = values[ASKED:]
    opening = (Message("system", system),) if system and system.strip() else ()
    return ChatRequest(
        read_picked(*values[:ASKED]),
        (*opening, *history, Message("user", text)),
        read_sampling(sampling),
        BasePrompt(instruction, question, answer),
    )
