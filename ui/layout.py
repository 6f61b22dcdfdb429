"""The page: a sidebar that spells one variant, tabs that use it, and what a link or a reload brings back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_space
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from models.domain.results.file import LONGEST_FILE
from models.domain.settings import Settings
from models.domain.training_files import FILE_MAX

from .address import draw_link, wire_link, wire_opening, wire_thinking
from .api import build_api
from .chat.tab import build_chat_tab, kept_conversation
from .compare.kept import kept_comparison
from .compare.setup import kept_candidates
from .compare.tab import build_compare_tab
from .compare.votes import kept_votes
from .complete_tab import build_complete_tab
from .doors.bodies import Bodies
from .doors.values import answer_in_sentences
from .embed.component import build_component
from .embed.framing import FrameAncestors
from .embed.guard import Guard
from .embed.locking import build_locking
from .embed.share import draw_footer, draw_share
from .openai.routes import build_routes
from .page import Page, Tab
from .picker.memory import build_memory, wire_memory
from .picker.picker import build_picker
from .programs.panel import draw_buttons, draw_panel, wire_panels
from .shared.assets import KeptAssets
from .shared.early import EarlyScript
from .shared.events import keep_drafts, raises, signal
from .shared.host import hub_page
from .shared.sampling import sampling_controls
from .shared.text import EN, I18N, both, t
from .shared.thinking import thinking_controls
from .train.tab import build_train_tab
from .watching import build_watching
from .workshop.tab import build_workshop_tab

if TYPE_CHECKING:
    from models.runtime import Runtime

# The first stop of the keyboard: past the picker, to what the open tab asks for.
SKIP = '<a class="skip" href="#tabs" onclick="window.paddock.skip(event)">{}</a>'
SHEETS = ("style.css", "chat/chat.css", "compare/results.css", "train/train.css", "workshop/workshop.css")
STYLES = [Path(__file__).parent / name for name in (*SHEETS, "embed/embed.css", "programs/snippets.css")]
EARLY = Path(__file__).with_name("choices.js")
OWN = (
    "opening.js",
    "access.js",
    "exact.js",
    "picker/combobox.js",
    "chat/kept.js",
    "chat/history.js",
    "chat/chat.js",
    "complete.js",
    "embed/embed.js",
    "programs/snippets.js",
)
SCRIPTS = [Path(__file__).parent / name for name in OWN]
ICON = Path(__file__).with_name("icon.svg")
# A phone starts with the conversation, not with the sidebar over it.
ON_LOAD = """() => {
  if (window.innerWidth < 768) document.querySelector(".sidebar.open .toggle-button")?.click();
}"""


TABS: dict[str, Callable[[Page], Tab]] = {
    "chat": build_chat_tab,
    "compare": build_compare_tab,
    "complete": build_complete_tab,
    "train": build_train_tab,
    "workshop": build_workshop_tab,
}


def build_app(runtime: Runtime) -> gr.Blocks:
    """The whole app around a Runtime; launch it with `launch_options(runtime)`."""
    guard = Guard(runtime)
    runtime = runtime.guarded(guard)
    with gr.Blocks(title="Paddock", fill_height=True, analytics_enabled=False) as app:
        # First, so that no handler of a tab takes the name of an endpoint; its parameters, of which Gradio makes
        # components, are not drawn, and stand last, since the page looks each component up from the beginning.
        with gr.Column(visible=False, render=False) as endpoints:
            build_api(runtime)
        gr.HTML(SKIP.format(both("skip")), elem_id="skip")
        with gr.Sidebar(width=380, elem_id="sidebar"):
            if runtime.settings.sign_in == "oauth":
                gr.LoginButton(size="sm", elem_id="login")
            picker = build_picker(runtime)
            thinking_parts, thinking = thinking_controls(runtime.settings.max_new_tokens)
            memory = build_memory()
            with gr.Accordion(t("sampling"), open=False, elem_id="sampling"):
                sampling = sampling_controls({"max_new_tokens": runtime.settings.max_new_tokens})
            gr.HTML(f'<div class="programs">{draw_buttons()}</div>', elem_id="programs-line", elem_classes="flush")
            if get_space():
                gr.DuplicateButton(t("duplicate"), size="sm", elem_id="duplicate")
        with gr.Row(elem_id="top"):
            gr.HTML(f'<h1 id="brand">Paddock</h1><p id="claim">{both("claim")}</p>', elem_id="title")
            link = draw_link()
            theme = gr.Button(t("theme"), size="sm", min_width=60, scale=0, elem_id="theme")
            language = gr.Button(t("language"), size="sm", min_width=60, scale=0, elem_id="language")
        link.with_talk.render()
        shared = draw_share(bool(runtime.settings.link_key), draw_buttons(), hub_page())
        gr.HTML(shared, elem_id="share-line", elem_classes="flush")
        gr.HTML(draw_panel(), elem_id="snippets-line", elem_classes="flush")
        link.box.render()
        picker.chip.render()
        theme.click(None, None, None, js="() => window.paddock.switchTheme()", api_visibility="private")
        language.click(None, None, None, js="() => window.paddock.switchLanguage()", api_visibility="private")
        kept = (kept_conversation(), kept_votes(), kept_comparison(), kept_candidates())
        page = Page(app, runtime, picker, sampling, thinking, *kept, signal(), signal(next(iter(TABS))))
        built: dict[str, Tab] = {}
        with gr.Tabs(elem_id="tabs") as tabs:
            for name, build in TABS.items():
                with gr.Tab(t(name) if name in EN else name.capitalize(), id=name, elem_id=f"{name}-tab") as selected:
                    built[name] = build(page)
                raises(selected.select, page.opened, f"() => {name!r}")
        gr.HTML(
            draw_footer(hub_page(), has_whole_page=not runtime.settings.locked_only),
            elem_id="embed-line",
        )
        wire_link(link, page, built)
        wire_panels(page, built)
        wire_opening(page, built, tabs, guard)
        wire_thinking(page, thinking_parts, guard)
        wire_memory(runtime, memory, picker, [event for tab in built.values() for event in tab.computed])
        app.load(None, None, None, js=ON_LOAD)
        settings = {**sampling, "thinking": thinking["switch"], "thinking_budget": thinking["budget"]}
        said = {name: tuple(sampling) if name in sampling else ("thinking", "thinking_budget") for name in settings}
        keep_drafts(app, settings, said)
        endpoints.render()
    answer_in_sentences(app)
    return app


def _largest_file(settings: Settings) -> int:
    """Bytes of what may be uploaded: a comparison, an adapter, rows to learn from."""
    adapter = int(settings.adapter_mb * 1e6) if settings.uploads else 0
    return max(LONGEST_FILE, adapter, FILE_MAX if settings.workshop else 0)


def launch_options(runtime: Runtime) -> dict[str, Any]:
    """What belongs to `launch()` in Gradio 6."""
    settings, doors = runtime.settings, runtime.guarded(Guard(runtime))
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
        # The outermost first: the page is compressed with its script, and a stream of events is not.
        "app_kwargs": {
            "routes": [*build_watching(runtime), *build_locking(settings), *build_component(), *build_routes(doors)],
            "middleware": [
                Middleware(KeptAssets),
                Middleware(Bodies),
                Middleware(FrameAncestors, ancestors=settings.frame_ancestors),
                Middleware(GZipMiddleware, minimum_size=4096, compresslevel=5),
                Middleware(EarlyScript, script=EARLY.read_text(encoding="utf-8")),
            ],
        },
        "mcp_server": settings.mcp,
        "pwa": True,
        "favicon_path": ICON,
        "run_history": False,
        "show_error": True,
        "enable_monitoring": False,  # its summary would be everybody's
        "max_file_size": _largest_file(settings),
        "footer_links": [],
    }
