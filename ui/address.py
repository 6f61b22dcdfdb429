"""The page's address: what a link opens, how one is written, and that it follows what is picked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.domain.errors import BadLock, PaddockError
from models.domain.memory.hardware import find_hardware
from models.domain.variant import Variant
from models.studies.compare import QUESTION, all_quantizations

from .embed.guard import Guard
from .page import Page, Tab
from .picker.picked import Pick, nothing, show, shown
from .picker.picker import hardware_box
from .shared import render, url
from .shared.events import AFTER_PAINT, AT_ONCE, Values, follows, own_token, raises, signal
from .shared.host import address_of
from .shared.language import error_sentences, say
from .shared.sampling import sampling_values, within
from .shared.text import t
from .shared.thinking import shown_thinking, thinking_values

if TYPE_CHECKING:
    from models.runtime import Runtime

# A reload or a copied address keeps the variant; a card without data-spelling shows an error and nothing was picked.
# A signed address stays as it is.
FOLLOW_VARIANT = """(card, hardwares) => {
  if (document.documentElement.dataset.lock) return;
  const address = new URL(window.location), hardware = hardwares.match(/data-picked="([^"]*)"/)?.[1];
  if (hardware) address.searchParams.set("hardware", hardware);
  else address.searchParams.delete("hardware");
  history.replaceState(null, "", address);
  const spelling = card.match(/data-spelling="([^"]*)"/)?.[1];
  if (spelling) {
    address.searchParams.set("variant", spelling); history.replaceState(null, "", address);
  }
}"""


@dataclass(frozen=True)
class LinkButtons:
    """A button that copies a link to what the page shows, one that adds the conversation, and the box for both."""

    copy: gr.Button
    with_talk: gr.Button
    box: gr.Textbox


def draw_link() -> LinkButtons:
    """Draw the first button; the others are drawn below it, and shown once it was pressed."""
    return LinkButtons(
        gr.Button(t("link_copy"), size="sm", min_width=60, scale=0, elem_id="make-link"),
        gr.Button(t("link_talk"), size="sm", scale=0, elem_id="link-talk", render=False),
        gr.Textbox(
            show_label=False,
            label=t("link_copy"),
            interactive=False,
            buttons=["copy"],
            lines=2,
            elem_id="link",
            render=False,
            container=False,
        ),
    )


def wire_link(link: LinkButtons, page: Page, tabs: Mapping[str, Tab]) -> None:
    """Write the link from what the open tab holds, the picker, and the sampling."""

    def writing(with_talk: bool) -> Callable[[gr.Request, Values], tuple[str, str]]:
        """The link, or why there is none and the code of that."""

        def write(request: gr.Request, values: Values) -> tuple[str, str]:
            try:
                state = page.state(tabs, values[page.opened], values)
                query = url.write(state if with_talk else replace(state, conversation=()))
            except PaddockError as error:
                return " ".join(error_sentences(error)), error.code
            return f"{address_of(request)}/?{query}", ""

        return write

    inputs, failed = {page.opened, *page.stated(tabs)}, signal()
    for button, with_talk in ((link.copy, False), (link.with_talk, True)):
        written = button.click(writing(with_talk), inputs, [link.box, failed], **AT_ONCE)
        copy = "(link, failed) => window.paddock.copyLink(link, failed)"
        written.then(None, [link.box, failed], None, js=copy, api_visibility="private")


def wire_opening(page: Page, tabs: Mapping[str, Tab], shown_tabs: gr.Tabs, guard: Guard) -> None:
    """Fill the page from its address when it opens; what cannot be used is said in each tab."""
    runtime, picker = page.runtime, page.picker
    default = Variant.parse(runtime.settings.default_variant)

    def pick(state: url.PageState, errors: list[PaddockError], token: str | None) -> list[Any]:
        """What the link names; what cannot be used is said, and nothing is picked in its place."""
        if state.unread:
            return nothing(runtime, state.unread, str(default), errors[0])
        there = find_hardware(state.hardware) if state.hardware else None
        if state.variant is None:
            return shown(runtime, lambda: default, Pick(), there=there, token=token)
        try:
            return show(runtime, state.variant, hardware=there, token=token)
        except PaddockError as error:
            errors.append(error)
            return nothing(runtime, str(state.variant), str(default), error)

    def open_link(request: gr.Request, token: gr.OAuthToken | None) -> list[Any]:
        state, errors = url.read(dict(request.query_params), tabs, runtime.catalog)
        note = ""
        try:
            guard.opened()
        except BadLock as error:
            errors, state = [error], replace(state, unread=str(state.variant or default))
        if request.query_params.get("tab") == "measure" and not state.unread:  # a tab of its own until 0.1
            state, note = measured(runtime, replace(state, variant=state.variant or default), errors)
        opened = state.tab or next(iter(tabs))
        picked = pick(state, errors, own_token(token))
        sampling: dict[str, Any] = dict.fromkeys(page.sampling, gr.skip())
        if state.sampling:
            sampling = sampling_values(within(state.sampling, runtime.settings.max_new_tokens, errors))
        thinking: dict[str, Any] = dict.fromkeys(page.thinking, gr.skip())
        if state.thinking:
            thinking = thinking_values(state.thinking, runtime.settings.max_new_tokens, errors)
        filled = [tab.open(state) if name == opened else [gr.skip()] * len(tab.linked) for name, tab in tabs.items()]
        said = "".join(map(render.error, errors))  # gr.Warning would need the queue, which may be full
        if not request.query_params.get("embed") and (brought := url.restored(state)):
            note = render.said(brought) + note
        run = opened if state.run and not errors else ""
        if run and runtime.gpu_is_lent:  # nobody's quota is used by a link
            run, note = "", note + render.said(say("Nothing was run yet: on ZeroGPU that takes a press."))
        return [
            state.hardware,
            hardware_box(state.hardware),
            *picked,
            *(sampling[name] for name in page.sampling),
            *(thinking[name] for name in page.thinking),
            *(value for values in filled for value in values),
            *(said + note if name == opened else said for name in tabs),
            gr.Tabs(selected=opened),
            run,
        ]

    running = signal()
    running.change(None, running, None, js="(tab) => window.paddock.run(tab)", api_visibility="private")
    linked = [component for tab in tabs.values() for component in tab.linked]
    statuses = [tab.status for tab in tabs.values()]
    outputs = [
        picker.hardware,
        picker.hardwares,
        *picker.outputs,
        *page.sampling.values(),
        *page.thinking.values(),
        *linked,
        *statuses,
        shown_tabs,
        running,
    ]
    opened = page.app.load(open_link, None, outputs, **AT_ONCE)
    raises(opened.then, picker.changed, AFTER_PAINT)
    followed = [picker.card, picker.hardwares]
    for trigger in (picker.changed.change, *(event.then for event in picker.weighed)):
        trigger(None, followed, None, js=FOLLOW_VARIANT, api_visibility="private")


def wire_thinking(page: Page, parts: gr.Column, guard: Guard) -> None:
    """Show what the picked model's chat template knows of thinking; what a link fixes stays."""

    def follow_template(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        known = None
        with suppress(BadLock):
            if guard.locks():
                return [gr.skip(), gr.skip()]
        with suppress(PaddockError):  # the card says why nothing is picked
            known = page.runtime.thinking(page.picker.read(values).variant, own_token(token, values[page.picker.token]))
        return shown_thinking(known, values[switch])

    switch = page.thinking["switch"]
    follows(page.picker.changed, follow_template, {switch, *page.picker.asked}, [parts, switch])


def measured(runtime: Runtime, state: url.PageState, errors: list[PaddockError]) -> tuple[url.PageState, str]:
    """The comparison of all quantizations of the variant, which Measure has become, and a line that says so."""
    assert state.variant is not None
    try:
        found = all_quantizations(runtime, state.variant)
    except PaddockError as error:
        errors.append(error)
        return replace(state, tab="compare"), ""
    listed = tuple(map(Variant.parse, found))
    said = say(
        "Measure is part of Compare: press Compare to measure {model} in all modes that fit.", model=state.variant
    )
    return replace(state, tab="compare", variants=listed, prompt=state.prompt or QUESTION), render.said(said)
