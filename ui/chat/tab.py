"""The Chat tab: a conversation with one variant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import gradio as gr

from models.domain.errors import BadHistory, PaddockError
from models.domain.gpu_cost import GpuCost
from models.domain.messages import Message
from models.domain.request import BasePrompt, ChatRequest
from models.studies.calls import answer_cost

from ..page import Page, Tab
from ..picker.cost import draw_cost, wire_cost
from ..shared import exact, render, stream, url
from ..shared.conversation import drawn
from ..shared.events import (
    AT_ONCE,
    IN_ORDER,
    PRESS,
    Values,
    Visitor,
    computing,
    keep_drafts,
    named,
    pressed,
)
from ..shared.language import language, say
from ..shared.sampling import draw_base_prompt, read_sampling
from ..shared.stops import Stops
from ..shared.text import EXAMPLES, t
from ..shared.thinking import read_thinking
from . import turns
from .history import draw_history
from .notice import UNDO, pressed_switch, render_notice
from .turns import Conversation

SHOW_PARTS = """(kind) => [kind === "base", kind !== "base"].map((visible) => ({ __type__: "update", visible }))"""
# Which question is asked: the conversation, the turn that it follows, and its text.
Question = tuple[Conversation, int, str]


def build_chat_tab(page: Page) -> Tab:
    """Draw the tab and wire it."""
    runtime, picker, kept = page.runtime, page.picker, page.conversation
    gr.HTML(draw_history(), elem_id="history-line", elem_classes="flush")
    chatbot = gr.Chatbot(
        show_label=False,
        elem_id="chatbot",
        height="100%",
        layout="bubble",
        editable="user",
        buttons=["copy", "copy_all"],
        allow_tags=False,
        latex_delimiters=exact.FORMULAS,
        feedback_options=None,
        placeholder=t("chat_empty"),
        examples=_examples(),
    )
    with gr.Row(elem_id="chat-lines"):
        status = gr.HTML(elem_id="chat-status", elem_classes="status-line")
        notice = gr.HTML(elem_id="chat-notice", elem_classes="status-line", js_on_load=PRESS)
        raw = gr.Checkbox(label=t("raw"), container=False, scale=0, min_width=90, elem_id="raw")
    gr.HTML('<div id="chat-busy" role="status"></div>', elem_id="chat-busy-line")
    picker.note.render()
    box = gr.Textbox(
        show_label=False,
        label=t("message_placeholder"),
        placeholder=t("message_placeholder"),
        submit_btn=True,
        lines=1,
        max_lines=8,
        autofocus=True,
        elem_id="message",
    )
    cost = draw_cost(runtime, "chat")
    with gr.Column(visible=False, elem_id="base-parts") as base_parts:
        gr.Markdown(t("base_explained"))
        base_prompt = draw_base_prompt()
    with gr.Accordion(t("system"), open=False, elem_id="instruct-parts") as instruct_parts:
        system = gr.Textbox(
            show_label=False, label=t("system"), placeholder=t("system_placeholder"), lines=2, elem_id="system"
        )
    with gr.Accordion(t("prompt_sent"), open=False, elem_id="prompt-sent-group"):
        prompt_sent = gr.Textbox(
            show_label=False,
            label=t("prompt_sent"),
            interactive=False,
            lines=3,
            max_lines=16,
            buttons=["copy"],
            elem_id="prompt-sent",
        )

    stops = Stops()
    raw_now: dict[str, bool] = {}  # by visitor, how the answer that streams is shown
    ready, busy = {"submit_btn": True, "stop_btn": False}, {"submit_btn": False, "stop_btn": True}

    def show(conversation: Conversation, as_written: bool) -> dict[Any, Any]:
        return {
            chatbot: drawn(turns.messages(conversation), as_written),
            kept: turns.write(conversation),
            notice: render_notice(conversation),
        }

    async def converse(visitor: Visitor, values: Values, ask: Callable[[], Question]) -> AsyncIterator[Any]:
        """Answer the question; whatever fails before the first token, all is as it was and its text in the box."""
        state, stop, session = stream.Answer(), stops.begin(visitor.session), visitor.session
        before, text, typed = None, "", values[box] or ""
        raw_now[session] = bool(values[raw])
        try:
            before, parent, text = ask()
            talk = turns.asked(before, text, parent)
            request = asked_for(talk, values)
            runtime.check(request)
            left = {"value": ""} if text == typed else {}
            yield show(talk, raw_now[session]) | {box: gr.Textbox(**left, **busy), status: render.waiting()}
            async with aclosing(runtime.answering(request, stop, visitor.token)) as events:
                async for event in events:
                    if stops.dropped(session, stop):
                        break
                    state = stream.advance(state, event)
                    now = {}
                    if state.text or state.thought:
                        now = show(turns.answered(talk, state.text, thought=_thought(state)), raw_now[session])
                    sent = {prompt_sent: state.prompt} if state.prompt else {}
                    yield now | sent | {status: stream.status(state)}
        except Exception as error:  # else the page would stay busy
            state = stream.failed(state, error)
        finally:
            dropped = stops.dropped(session, stop)
            stops.end(session, stop)
            as_written = raw_now.pop(session, False) if not dropped else False
        if dropped:  # the page belongs to whoever dropped it; Gradio sends the last values again, so they are none
            yield {status: gr.skip()}
        elif state.unanswered:
            back = {"value": text} if not typed or text == typed else {}
            was = show(before, as_written) if before else {}
            yield was | {box: gr.Textbox(**back, **ready), status: stream.status(state)}
        else:
            over = turns.answered(talk, state.text, *stream.note(state), thought=_thought(state))
            yield show(over, as_written) | {box: gr.Textbox(**ready), status: stream.status(state)}

    def asked_for(talk: Conversation, values: Values) -> ChatRequest:
        """The request behind the tab's components; raises VariantError or InputError."""
        opening = (Message("system", values[system]),) if values[system] and values[system].strip() else ()
        return ChatRequest(
            picker.read(values).variant,
            (*opening, *turns.history(talk), Message("user", talk.turns[talk.leaf].question)),
            read_sampling(named(page.sampling, values)),
            BasePrompt(**named(base_prompt, values)),
            thinking=read_thinking(named(page.thinking, values)),
        )

    # The four ways to ask.

    async def send(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[Any]:
        ask = partial(_next, values[kept], values[box] or "")
        async for shown in converse(Visitor.of(request, token, values[picker.token]), values, ask):
            yield shown

    async def example(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.SelectData, values: Values
    ) -> AsyncIterator[Any]:
        ask = partial(_next, values[kept], data.value["text"])
        async for shown in converse(Visitor.of(request, token, values[picker.token]), values, ask):
            yield shown

    async def retry(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.RetryData, values: Values
    ) -> AsyncIterator[Any]:
        ask = partial(_again, values[kept], data.index)
        async for shown in converse(Visitor.of(request, token, values[picker.token]), values, ask):
            yield shown

    async def edit(
        request: gr.Request, token: gr.OAuthToken | None, data: gr.EditData, values: Values
    ) -> AsyncIterator[Any]:
        ask = partial(_again, values[kept], data.index, exact.read(str(data.value)))
        async for shown in converse(Visitor.of(request, token, values[picker.token]), values, ask):
            yield shown

    # What changes which turns are shown; an answer under way ends first.

    async def changed(
        request: gr.Request, values: Values, change: Callable[[Conversation], Conversation]
    ) -> dict[Any, Any]:
        await stops.silence(str(request.session_hash))
        try:
            return show(change(_resumed(values[kept])), values[raw]) | {box: gr.Textbox(**ready), status: ""}
        except PaddockError as error:
            return {status: render.error(error)}

    async def undo(request: gr.Request, values: Values) -> dict[Any, Any]:
        shown = await changed(request, values, turns.taken_back)
        talk = turns.read(shown.get(kept))
        if talk.previous is not None and not (values[box] or "").strip():
            shown[box] = gr.Textbox(talk.turns[talk.previous].question, **ready)
        return shown

    async def clear(request: gr.Request, values: Values) -> dict[Any, Any]:
        return await changed(request, values, turns.cleared) | {prompt_sent: ""}

    async def press(request: gr.Request, event: gr.EventData, values: Values) -> dict[Any, Any]:
        def follow(talk: Conversation) -> Conversation:
            if (said := pressed(event)) == UNDO:
                return turns.undone(talk)
            turn, step = pressed_switch(said) or (turns.ROOT, 0)
            if turn not in talk.path:
                raise BadHistory(reason=f"it has no message {turn}")
            return turns.switched(talk, turn, step)

        return await changed(request, values, follow)

    def stop_answer(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    def redraw(request: gr.Request, values: Values) -> Any:
        session = str(request.session_hash)
        if session in raw_now:
            raw_now[session] = bool(values[raw])
            return gr.skip()
        return drawn(turns.messages(_resumed(values[kept])), values[raw])

    def open_kept(request: gr.Request, posted: Any, as_written: Any) -> dict[Any, Any]:
        """What the browser kept, as it is shown, else what the link brings; a new conversation if it is neither."""
        try:
            talk = _resumed(posted)
        except PaddockError:
            talk = turns.new()
        if not talk.turns and talk.before is None:
            linked, _ = url.read(dict(request.query_params))
            talk = turns.of(linked.conversation, say("from a link"))
        shown = show(talk, bool(as_written))
        return shown | {chatbot: gr.Chatbot(shown[chatbot], examples=_examples()), raw: bool(as_written)}

    async def open_chosen(request: gr.Request, posted: Any, as_written: Any) -> dict[Any, Any]:
        """Another conversation of the browser's, or a new one; an answer under way ends first."""
        await stops.silence(str(request.session_hash))
        try:
            return show(_resumed(posted), bool(as_written)) | {box: gr.Textbox(**ready), status: "", prompt_sent: ""}
        except PaddockError as error:
            return {status: render.error(error)}

    def count(values: Values, token: str | None) -> GpuCost | None:
        talk = _resumed(values[kept])
        return answer_cost(runtime, asked_for(turns.asked(talk, values[box] or "", talk.leaf), values), token)

    inputs = {box, kept, raw, system, *picker.asked, *base_prompt.values()}
    inputs |= {*page.sampling.values(), *page.thinking.values()}
    outputs = [chatbot, kept, notice, box, status, prompt_sent]
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
    wire_cost(runtime, picker, cost, count, inputs, [box.blur, *page.lengths], answered)
    for trigger, handler in ((chatbot.undo, undo), (chatbot.clear, clear), (notice.click, press)):
        trigger(handler, {box, kept, raw}, outputs, **IN_ORDER)
    box.stop(stop_answer, None, None, **AT_ONCE)
    raw.input(redraw, {kept, raw}, chatbot, **AT_ONCE)
    raw.change(None, raw, None, js="(raw) => window.paddock.keepRaw(raw)", api_visibility="private")
    page.app.load(open_kept, [kept, raw], [chatbot, kept, notice, raw], js="() => window.paddock.openKept()", **AT_ONCE)
    chosen = gr.Textbox(visible="hidden", elem_id="chosen-conversation")
    chosen.change(open_chosen, [kept, raw], outputs, js="() => window.paddock.openChosen()", **IN_ORDER)
    drafts = {"message": box, "system": system, **base_prompt}
    said = {"message": "prompt", "system": "system", **{name: name for name in base_prompt}}
    keep_drafts(page.app, drafts, {box: url.parameters(name) for box, name in said.items()}, "chat")

    picker.kind.change(None, picker.kind, [base_parts, instruct_parts], js=SHOW_PARTS, api_visibility="private")
    return Tab(
        status,
        answered,
        (system, box, kept, *base_prompt.values()),
        lambda state: [  # `open_kept` opens the conversation
            state.system or gr.skip(),
            state.prompt or gr.skip(),
            gr.skip(),
            *url.open_base_prompt(state),
        ],
        lambda values: {
            "system": values[system] or "",
            "prompt": values[box] or "",
            "base_prompt": BasePrompt(**named(base_prompt, values)),
            "conversation": tuple(message.content for message in turns.history(turns.read(values[kept]))),
        },
    )


def kept_conversation() -> gr.HTML:
    """Holds the conversation for `chat.js`, which keeps it in the browser as soon as it changes.

    Drawn outside of any tab, since a tab that is not open yet is not there.
    """
    return gr.HTML(
        None,
        html_template="",
        js_on_load="watch('value', () => window.paddock.keepConversation(props.value));",
        visible="hidden",
        elem_id="kept-conversation",
    )


def _resumed(posted: Any) -> Conversation:
    """A conversation from the browser; what was still under way when it was kept is not any more."""
    return turns.settled(
        turns.read(posted),
        say("cut short"),
        say("The page was left, or the answer replaced, before it was finished."),
    )


def _next(posted: Any, text: str) -> Question:
    talk = _resumed(posted)
    return talk, talk.leaf, text


def _again(posted: Any, message: Any, text: str | None = None) -> Question:
    """The question of a message once more, or another text in its place."""
    talk = _resumed(posted)
    turn = talk.turns[turns.turn_at(talk, message)]
    return talk, turn.parent, turn.question if text is None else text


def _thought(state: stream.Answer) -> turns.Thought | None:
    """What was thought before an answer, where anything was."""
    return turns.Thought(state.thought, render.thought(state.usage)) if state.thought else None


def _examples() -> list[dict[str, str]]:
    """In the visitor's language; Gradio translates no examples of its own accord."""
    return [{"text": text} for text in EXAMPLES[language()]]
