"""The page: a sidebar that spells one variant, tabs that use it, and what a link or a reload brings back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware

from models.domain.results.file import LONGEST_FILE
from models.domain.settings import Settings

from .address import draw_link, wire_link, wire_opening
from .api import build_api
from .chat.tab import build_chat_tab, kept_conversation
from .compare.kept import kept_comparison
from .compare.setup import kept_candidates
from .compare.tab import build_compare_tab
from .compare.votes import kept_votes
from .complete_tab import build_complete_tab
from .page import Page, Tab
from .picker.memory import build_memory, wire_memory
from .picker.picker import build_picker
from .shared.early import EarlyScript
from .shared.events import AT_ONCE
from .shared.sampling import sampling_controls
from .shared.text import EN, I18N, both, t

if TYPE_CHECKING:
    from models.runtime import Runtime

# The first stop of the keyboard: past the picker, to what the open tab asks for.
SKIP = '<a class="skip" href="#tabs" onclick="window.paddock.skip(event)">{}</a>'
STYLES = [Path(__file__).parent / name for name in ("style.css", "chat/chat.css", "compare/results.css")]
EARLY = Path(__file__).with_name("choices.js")
SCRIPTS = [Path(__file__).parent / name for name in ("access.js", "exact.js", "chat/kept.js", "chat/chat.js")]
# A phone starts with the conversation, not with the sidebar over it.
ON_LOAD = """() => {
  if (window.innerWidth < 768) document.querySelector(".sidebar.open .toggle-button")?.click();
}"""


TABS: dict[str, Callable[[Page], Tab]] = {
    "chat": build_chat_tab,
    "compare": build_compare_tab,
    "complete": build_complete_tab,
}


def build_app(runtime: Runtime) -> gr.Blocks:
    """The whole app around a Runtime; launch it with `launch_options(runtime.settings)`."""
    with gr.Blocks(title="Paddock", fill_height=True, analytics_enabled=False) as app:
        build_api(runtime)  # first, so that no handler of a tab takes the name of an endpoint
        gr.HTML(SKIP.format(both("skip")), elem_id="skip")
        with gr.Sidebar(width=380, elem_id="sidebar"):
            if runtime.settings.sign_in:
                gr.LoginButton(size="sm")
            picker = build_picker(runtime)
            memory = build_memory()
            with gr.Accordion(t("sampling"), open=False, elem_id="sampling"):
                sampling = sampling_controls({"max_new_tokens": runtime.settings.max_new_tokens})
            gr.HTML(f'<p class="quiet"><a href="?view=api">{both("programs")}</a></p>')
        with gr.Row(elem_id="top"):
            gr.HTML(f'<h1 id="brand">Paddock</h1><p id="claim">{both("claim")}</p>', elem_id="title")
            link = draw_link()
            theme = gr.Button(t("theme"), size="sm", min_width=60, scale=0, elem_id="theme")
            language = gr.Button(t("language"), size="sm", min_width=60, scale=0, elem_id="language")
        link.with_talk.render()
        link.box.render()
        picker.chip.render()
        theme.click(None, None, None, js="() => window.paddock.switchTheme()", api_visibility="private")
        language.click(None, None, None, js="() => window.paddock.switchLanguage()", api_visibility="private")
        kept = (kept_conversation(), kept_votes(), kept_comparison(), kept_candidates())
        page = Page(app, runtime, picker, sampling, *kept)
        opened_tab, built = gr.State(next(iter(TABS))), {}
        with gr.Tabs(elem_id="tabs") as tabs:
            for name, build in TABS.items():
                with gr.Tab(t(name) if name in EN else name.capitalize(), id=name, elem_id=f"{name}-tab") as selected:
                    built[name] = build(page)
                selected.select(partial(str, name), None, opened_tab, **AT_ONCE)
        wire_link(link, page, built, opened_tab)
        wire_opening(page, built, tabs)
        wire_memory(runtime, memory, picker, app, [event for tab in built.values() for event in tab.computed])
        app.load(None, None, None, js=ON_LOAD)
    return app


def launch_options(settings: Settings) -> dict[str, Any]:
    """What belongs to `launch()` in Gradio 6."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    ).set(
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        color_accent="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
    )
    return {
        "theme": theme,
        "css_paths": STYLES,
        "head": "".join(f"<script>{script.read_text(encoding='utf-8')}</script>" for script in SCRIPTS),
        "i18n": I18N,
        "app_kwargs": {"middleware": [Middleware(EarlyScript, script=EARLY.read_text(encoding="utf-8"))]},
        "run_history": False,
        "show_error": True,
        "enable_monitoring": False,  # its summary would be everybody's
        "max_file_size": max(int(settings.adapter_mb * 1e6), LONGEST_FILE) if settings.uploads else LONGEST_FILE,
        "footer_links": [],
    }
