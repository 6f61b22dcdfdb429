"""The panels *Use from code* and *Use elsewhere*: what the page shows, ready to paste. Filled when they are opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component
from gradio.utils import get_space

from models.domain.elsewhere import Recipe
from models.domain.errors import BadComparisonRequest, PaddockError
from models.domain.messages import Sampling
from models.domain.request import BasePrompt

from ..page import Page, Tab
from ..shared import render, url
from ..shared.events import AT_ONCE, Values, own_token, signal
from ..shared.host import address_of
from ..shared.language import say
from ..shared.text import both
from .calls import call_of, request_of, written_out
from .examples import Place, examples

if TYPE_CHECKING:
    from models.runtime import Runtime

OPENS = ("code", "elsewhere")  # what a button on the page may open, by `data-snippets`


def draw_buttons() -> str:
    """The two buttons; `snippets.js` presses the hidden ones that ask the server."""
    button = '<button type="button" class="small-button" data-snippets="{}">{}</button>'
    return "".join(button.format(name, both(f"use_{name}")) for name in OPENS)


def draw_panel() -> str:
    """The dialog that both fill."""
    return (
        '<dialog id="snippets" class="dialog" aria-labelledby="snippets-title"><header>'
        '<h2 id="snippets-title"></h2><button type="button" class="small-button" data-do="close">'
        f'{both("close")}</button></header><div class="drawn"></div></dialog>'
    )


def wire_panels(page: Page, tabs: Mapping[str, Tab]) -> None:
    """Write what the open tab would ask for, and how other programs run the picked variant."""
    runtime = page.runtime

    def from_code(request: gr.Request, token: str | None, values: Values) -> str:
        state = page.state(tabs, values[page.opened], values)
        if not _thinks(runtime, state, token):
            state = replace(state, thinking=None)
        return drawn(say("Use from code"), *code(runtime, state, place_of(runtime, request), token))

    def without(request: gr.Request, token: str | None, values: Values) -> str:
        return elsewhere(runtime, page.state(tabs, values[page.opened], values), token)

    inputs = {page.opened, *page.stated(tabs)}
    for name, handler in zip(OPENS, (from_code, without), strict=True):
        opens(page, gr.Button(visible="hidden", elem_id=f"write-{name}").click, handler, inputs)


def opens(page: Page, trigger: Callable[..., Any], handler: Callable[..., str], inputs: set[Component]) -> None:
    """Show in the dialog what a handler draws, which is given the visitor's token, or why it cannot."""

    def safe(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> str:
        try:
            return handler(request, own_token(token, values[page.picker.token]), values)
        except PaddockError as error:
            return drawn("", render.error(error))

    box = signal()
    written = trigger(safe, inputs | {page.picker.token}, box, **AT_ONCE)
    written.then(None, box, None, js="(html) => window.paddock.showSnippets(html)", api_visibility="private")


def place_of(runtime: Runtime, request: gr.Request) -> Place:
    """This server, as the visitor's programs reach it."""
    settings = runtime.settings
    longest = min(Sampling().max_new_tokens, settings.max_new_tokens)
    return Place(address_of(request), get_space() or "", settings.openai, bool(settings.api_keys), longest)


def code(runtime: Runtime, state: url.PageState, place: Place, token: str | None) -> tuple[str, Sequence[Recipe]]:
    """A line about the call, and its examples; raises PaddockError."""
    usual = replace(Sampling(), max_new_tokens=place.longest)
    if state.tab == "compare" and len(state.variants) < 2:
        few = "only one was named, and it takes two" if state.variants else "none was named"
        raise BadComparisonRequest(reason=few)
    assert state.variant is not None
    parts = state.base_prompt not in (None, BasePrompt())
    base = not state.tab and parts and runtime.card(state.variant, token).is_base
    call = written_out(state, usual) if base else call_of(state, usual)
    lead = say(
        "The endpoint {endpoint} with what is picked; what stands at its default is left out.", endpoint=call.endpoint
    )
    docs = f'<a href="?view=api" target="_blank" rel="noopener">{escape(say("All endpoints and their parameters"))}</a>'
    own = ""
    if place.space:
        own = ". " + escape(say("On ZeroGPU, a program is charged as its token's owner: give Client your token."))
    return f'<p class="quiet">{escape(lead)} {docs}{own}</p>', examples(call, place)


def elsewhere(runtime: Runtime, state: url.PageState, token: str | None = None) -> str:
    """How other programs run a variant and answer the same; raises PaddockError."""
    recipes = runtime.elsewhere(request_of(state), token)
    lead = say("{variant} without Paddock: the same weights, sampling and prompt.", variant=state.variant)
    if not recipes:
        lead = say("No other program is known to run {variant} as it is.", variant=state.variant)
    return drawn(say("Use elsewhere"), f'<p class="quiet">{escape(lead)}</p>', recipes)


def drawn(title: str, lead: str, recipes: Sequence[Recipe] = ()) -> str:
    """What the dialog shows. Pure; everything from outside is escaped."""
    return f"<h2 hidden>{escape(title)}</h2>{lead}{''.join(map(_snippet, recipes))}"


def _snippet(recipe: Recipe) -> str:
    note = f'<p class="quiet">{escape(say(recipe.note))}</p>' if recipe.note else ""
    text = recipe.text.encode("utf-8", "replace").decode()
    return (
        f'<section><header><h3>{escape(recipe.program)}</h3><button type="button" class="small-button" data-do="copy">'
        f'{escape(say("Copy"))}</button></header>{note}<pre tabindex="0"><code>{escape(text)}</code></pre></section>'
    )


def _thinks(runtime: Runtime, state: url.PageState, token: str | None) -> bool:
    """Whether anything is asked of how the picked model thinks, or it would think of itself."""
    if state.thinking and state.thinking.switch != "auto":
        return True
    known = runtime.thinking(state.variant, token) if state.variant else None
    return bool(known and (known.marks or known.switches))
