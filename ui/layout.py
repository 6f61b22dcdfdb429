"""The page: a sidebar that spells one variant, tabs that use it, and what a link or a reload brings back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.spec.errors import PaddockError
from models.spec.variant import Variant

from . import render, url
from .api import build_api
from .chat_tab import build_chat_tab, restored
from .complete_tab import build_complete_tab
from .events import AT_ONCE
from .picker import build_picker, show
from .sampling import read_sampling, sampling_controls, sampling_values
from .text import I18N, t

if TYPE_CHECKING:
    from models.runtime import Runtime

STYLE = Path(__file__).with_name("style.css")
# The address follows the picked variant, so that a reload or a copied link keeps it.
KEEP_ADDRESS = """(spelling, card) => {
  const address = new URL(window.location);
  if (spelling && card.includes("data-variant")) {
    address.searchParams.set("variant", spelling); history.replaceState(null, "", address);
  }
}"""
# A phone starts with the conversation, not with the sidebar over it.
ON_LOAD = """() => {
  if (window.innerWidth < 768) document.querySelector(".sidebar.open .toggle-button")?.click();
}"""


def build_app(runtime: Runtime) -> gr.Blocks:
    """The whole app around a Runtime; launch it with `launch_options()`."""
    with gr.Blocks(title="Paddock", fill_height=True, analytics_enabled=False) as app:
        with gr.Sidebar(width=340, elem_id="sidebar"):
            gr.HTML('<h1 id="brand">Paddock</h1><p id="claim">Which open model is good enough, and fits?</p>')
            if runtime.settings.sign_in:
                gr.LoginButton(size="sm")
            picker = build_picker(runtime)
            with gr.Accordion(t("sampling"), open=False, elem_id="sampling"):
                sampling = sampling_controls({"max_new_tokens": runtime.settings.max_new_tokens})
            with gr.Accordion(t("link"), open=False, elem_id="link-group"):
                make_link = gr.Button(t("link_make"), size="sm", elem_id="make-link")
                link = gr.Textbox(show_label=False, interactive=False, buttons=["copy"], lines=2, elem_id="link")
            with gr.Accordion(t("memory"), open=True, elem_id="memory"):
                memory = gr.HTML(render.held([]), elem_id="held")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(t("chat"), id="chat", elem_id="chat-tab") as chat_page:
                chat = build_chat_tab(runtime, picker, sampling)
            with gr.Tab(t("complete"), id="complete", elem_id="complete-tab") as complete_page:
                complete = build_complete_tab(runtime, picker, sampling)
        shown_tab = gr.State("chat")
        build_api(runtime)

        kept = gr.BrowserState([], storage_key="paddock-conversation", secret="paddock")
        linked = [*picker.outputs, *sampling, chat.system, chat.box, complete.text, chat.status, complete.status, tabs]

        def open_link(request: gr.Request) -> list[Any]:
            state, errors = url.read(dict(request.query_params))
            variant = state.variant or Variant.parse(runtime.settings.default_variant)
            try:
                runtime.card(variant)
            except PaddockError as error:
                errors.append(error)
                variant = Variant.parse(runtime.settings.default_variant)
            values = sampling_values(state.sampling) if state.sampling else [gr.skip() for _ in sampling]
            in_chat = state.tab == "chat"
            texts = [state.system, state.prompt if in_chat else "", "" if in_chat else state.prompt]
            return [
                *show(runtime, variant.model, variant.quantization),
                *values,
                *(text or gr.skip() for text in texts),
                *["".join(map(render.error, errors))] * 2,  # gr.Warning would need the queue, which may be full
                gr.Tabs(selected=state.tab),
            ]

        def write_link(
            request: gr.Request, model: str, mode: str, tab: str, system: str, message: str, text: str, *values: Any
        ) -> str:
            try:
                prompt = text if tab == "complete" else message
                state = url.PageState(Variant(model or "", mode or "auto"), read_sampling(values), system, prompt, tab)
            except PaddockError as error:
                return str(error)
            origin = str(request.headers.get("referer") or request.request.base_url).partition("?")[0]
            return f"{origin}?{url.write(state)}"

        def follow_kind(is_base: bool) -> tuple[Any, Any]:
            return gr.Group(visible=is_base), gr.Accordion(visible=not is_base)

        def show_memory() -> str:
            return render.held(runtime.held())

        opened = app.load(open_link, None, linked, **AT_ONCE)
        app.load(restored, kept, chat.chatbot, **AT_ONCE)
        app.load(show_memory, None, memory, **AT_ONCE)
        app.load(None, None, None, js=ON_LOAD)
        chat_page.select(lambda: "chat", None, shown_tab, **AT_ONCE)
        complete_page.select(lambda: "complete", None, shown_tab, **AT_ONCE)
        spelled = [*picker.inputs, shown_tab, chat.system, chat.box, complete.text, *sampling]
        make_link.click(write_link, spelled, link, **AT_ONCE)
        for event in (opened, *picker.picked):
            event.then(follow_kind, picker.is_base, [chat.base_parts, chat.instruct_parts], **AT_ONCE)
            event.then(None, [picker.spelling, picker.card], None, js=KEEP_ADDRESS, api_visibility="private")
        for event in (*chat.answered, *complete.answered):
            event.then(show_memory, None, memory, **AT_ONCE)
        for change in (*chat.answered, chat.undone, chat.chatbot.clear):
            follow = change.then if hasattr(change, "then") else change
            follow(None, chat.chatbot, kept, js="(messages) => [messages]", api_visibility="private")
    return app


def launch_options() -> dict[str, Any]:
    """What belongs to `launch()` in Gradio 6."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    )
    return {
        "theme": theme,
        "css_paths": [STYLE],
        "i18n": I18N,
        "run_history": False,
        "show_error": True,
        "max_file_size": "1mb",
        "footer_links": ["api"],
    }
