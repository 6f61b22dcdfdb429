"""The page: a sidebar that spells one variant, tabs that use it, and what a link or a reload brings back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.domain.results.file import LONGEST_FILE
from models.domain.settings import Settings

from .address import Pages, draw_link, wire_link, wire_opening
from .api import build_api
from .chat_tab import build_chat_tab
from .compare.tab import build_compare_tab
from .compare.votes import kept_votes
from .complete_tab import build_complete_tab
from .measure_tab import build_measure_tab, follow_model
from .picker.memory import build_memory, wire_memory
from .picker.picker import build_picker
from .shared.conversation import restored
from .shared.events import AT_ONCE
from .shared.sampling import sampling_controls
from .shared.text import I18N, t

if TYPE_CHECKING:
    from models.runtime import Runtime

STYLE = Path(__file__).with_name("style.css")
EXACT = Path(__file__).with_name("exact.js")
# A phone starts with the conversation, not with the sidebar over it.
ON_LOAD = """() => {
  if (window.innerWidth < 768) document.querySelector(".sidebar.open .toggle-button")?.click();
}"""


def build_app(runtime: Runtime) -> gr.Blocks:
    """The whole app around a Runtime; launch it with `launch_options(runtime.settings)`."""
    with gr.Blocks(title="Paddock", fill_height=True, analytics_enabled=False) as app:
        build_api(runtime)  # first, so that no handler of a tab takes the name of an endpoint
        with gr.Sidebar(width=350, elem_id="sidebar"):
            gr.HTML('<h1 id="brand">Paddock</h1><p id="claim">Which open model is good enough, and fits?</p>')
            if runtime.settings.sign_in:
                gr.LoginButton(size="sm")
            picker = build_picker(runtime)
            memory = build_memory()
            with gr.Accordion(t("sampling"), open=False, elem_id="sampling"):
                sampling = sampling_controls({"max_new_tokens": runtime.settings.max_new_tokens})
            make_link, link = draw_link()
            gr.HTML('<p class="quiet"><a href="?view=api">Use it from a program</a></p>')
        votes = kept_votes()
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(t("chat"), id="chat", elem_id="chat-tab") as chat_page:
                chat = build_chat_tab(runtime, picker, sampling)
            with gr.Tab(t("complete"), id="complete", elem_id="complete-tab") as complete_page:
                complete = build_complete_tab(runtime, picker, sampling)
            with gr.Tab(t("compare"), id="compare", elem_id="compare-tab") as compare_page:
                compare = build_compare_tab(runtime, picker, sampling, votes, app)
            with gr.Tab(t("measure"), id="measure", elem_id="measure-tab") as measure_page:
                measure = build_measure_tab(runtime, picker)
        shown_tab = gr.State("chat")

        kept = gr.BrowserState([], storage_key="paddock-conversation", secret="paddock")
        pages = Pages(chat, complete, compare, measure)
        wire_link(make_link, link, picker, pages, sampling, shown_tab)
        opened = wire_opening(app, runtime, picker, sampling, pages, tabs)
        computed = [*chat.answered, *complete.answered, *compare.compared, *measure.measured]
        wire_memory(runtime, memory, picker, app, computed)
        follow_model(runtime, measure, picker, [opened, *picker.picked])

        def follow_kind(is_base: bool) -> tuple[Any, Any]:
            return gr.Column(visible=is_base), gr.Accordion(visible=not is_base)

        app.load(restored, kept, chat.chatbot, **AT_ONCE)
        app.load(None, None, None, js=ON_LOAD)
        chat_page.select(lambda: "chat", None, shown_tab, **AT_ONCE)
        complete_page.select(lambda: "complete", None, shown_tab, **AT_ONCE)
        compare_page.select(lambda: "compare", None, shown_tab, **AT_ONCE)
        measure_page.select(lambda: "measure", None, shown_tab, **AT_ONCE)
        for event in (opened, *picker.picked):
            event.then(follow_kind, picker.is_base, [chat.base_parts, chat.instruct_parts], **AT_ONCE)
        for change in (*chat.answered, chat.undone, chat.chatbot.clear):
            follow = change.then if hasattr(change, "then") else change
            follow(None, chat.chatbot, kept, js="(messages) => [messages]", api_visibility="private")
    return app


def launch_options(settings: Settings) -> dict[str, Any]:
    """What belongs to `launch()` in Gradio 6."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    ).set(body_text_color_subdued="*neutral_600", block_info_text_color="*neutral_600")
    return {
        "theme": theme,
        "css_paths": [STYLE],
        "head": f"<script>{EXACT.read_text(encoding='utf-8')}</script>",
        "i18n": I18N,
        "run_history": False,
        "show_error": True,
        "enable_monitoring": False,  # its summary would be everybody's
        "max_file_size": max(int(settings.adapter_mb * 1e6), LONGEST_FILE) if settings.uploads else LONGEST_FILE,
        "footer_links": [],
    }
