"""The page's address: what a link opens, how one is written, and that it follows what is picked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.domain.errors import PaddockError
from models.domain.memory.hardware import find_hardware
from models.domain.variant import Variant
from models.studies.compare import QUESTION, all_quantizations

from .page import Page, Tab
from .picker.picked import Pick, nothing, show, shown
from .picker.picker import hardware_box
from .shared import render, url
from .shared.events import AT_ONCE, Values, named
from .shared.language import error_sentences, say
from .shared.sampling import read_sampling, sampling_values, within
from .shared.text import t

if TYPE_CHECKING:
    from models.runtime import Runtime

# A reload or a copied address keeps the variant; a card without data-variant shows an error and nothing was picked.
FOLLOW_VARIANT = """(spelling, card, hardwares) => {
  const address = new URL(window.location), hardware = hardwares.match(/data-picked="([^"]*)"/)?.[1];
  if (hardware) address.searchParams.set("hardware", hardware);
  else address.searchParams.delete("hardware");
  history.replaceState(null, "", address);
  if (spelling && card.includes("data-variant")) {
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


def wire_link(link: LinkButtons, page: Page, tabs: Mapping[str, Tab], opened_tab: gr.State) -> None:
    """Write the link from what the open tab holds, the picker, and the sampling."""

    def writing(with_talk: bool) -> Callable[[gr.Request, Values], str]:
        def write(request: gr.Request, values: Values) -> str:
            name = values[opened_tab]
            try:
                picked, sampling = page.picker.read(values), read_sampling(named(page.sampling, values))
                tab, shown = "" if name == next(iter(tabs)) else name, tabs[name].state(values)
                state = url.PageState(picked.variant, sampling, tab=tab, hardware=picked.hardware or "", **shown)
                query = url.write(state if with_talk else replace(state, conversation=()))
            except PaddockError as error:
                return " ".join(error_sentences(error))
            address = str(request.headers.get("referer") or request.request.base_url).partition("?")[0]
            return f"{address}?{query}"

        return write

    linked = [component for tab in tabs.values() for component in tab.linked]
    inputs = {opened_tab, *linked, *page.picker.asked, *page.sampling.values()}
    for button, with_talk in ((link.copy, False), (link.with_talk, True)):
        written = button.click(writing(with_talk), inputs, link.box, **AT_ONCE)
        written.then(None, link.box, None, js="(link) => window.paddock.copyLink(link)", api_visibility="private")


def wire_opening(page: Page, tabs: Mapping[str, Tab], shown_tabs: gr.Tabs) -> None:
    """Fill the page from its address when it opens; what cannot be used is said in each tab."""
    runtime, picker = page.runtime, page.picker
    default = Variant.parse(runtime.settings.default_variant)

    def pick(state: url.PageState, errors: list[PaddockError]) -> list[Any]:
        """What the link names; what cannot be used is said, and nothing is picked in its place."""
        if state.unread:
            return nothing(runtime, state.unread, str(default), errors[0])
        there = find_hardware(state.hardware) if state.hardware else None
        if state.variant is None:
            return shown(runtime, lambda: default, Pick(), there=there)
        try:
            return show(runtime, state.variant, hardware=there)
        except PaddockError as error:
            errors.append(error)
            return nothing(runtime, str(state.variant), str(default), error)

    def open_link(request: gr.Request) -> list[Any]:
        state, errors = url.read(dict(request.query_params), tabs, runtime.catalog)
        note = ""
        if request.query_params.get("tab") == "measure" and not state.unread:  # a tab of its own until 0.1
            state, note = measured(runtime, replace(state, variant=state.variant or default), errors)
        opened = state.tab or next(iter(tabs))
        picked = pick(state, errors)
        sampling: dict[str, Any] = dict.fromkeys(page.sampling, gr.skip())
        if state.sampling:
            sampling = sampling_values(within(state.sampling, runtime.settings.max_new_tokens, errors))
        filled = [tab.open(state) if name == opened else [gr.skip()] * len(tab.linked) for name, tab in tabs.items()]
        said = "".join(map(render.error, errors))  # gr.Warning would need the queue, which may be full
        return [
            state.hardware,
            hardware_box(state.hardware),
            *picked,
            *(sampling[name] for name in page.sampling),
            *(value for values in filled for value in values),
            *(said + note if name == opened else said for name in tabs),
            gr.Tabs(selected=opened),
        ]

    linked = [component for tab in tabs.values() for component in tab.linked]
    statuses = [tab.status for tab in tabs.values()]
    outputs = [
        picker.hardware,
        picker.hardwares,
        *picker.outputs,
        *page.sampling.values(),
        *linked,
        *statuses,
        shown_tabs,
    ]
    opened = page.app.load(open_link, None, outputs, **AT_ONCE)
    followed = [picker.spelling, picker.card, picker.hardwares]
    for event in (opened, *picker.picked, *picker.weighed):
        event.then(None, followed, None, js=FOLLOW_VARIANT, api_visibility="private")
    for event in (opened, *picker.picked):
        for tab in tabs.values():
            if tab.follow is not None:
                event.then(*tab.follow, **AT_ONCE)


def measured(runtime: Runtime, state: url.PageState, errors: list[PaddockError]) -> tuple[url.PageState, str]:
    """The comparison of all quantizations of the variant, which Measure has become, and a line that says so."""
    assert state.variant is not None
    try:
        found = all_quantizations(runtime, state.variant, runtime.settings.compared)
    except PaddockError as error:
        errors.append(error)
        return replace(state, tab="compare"), ""
    listed = tuple(map(Variant.parse, found))
    said = say(
        "Measure is part of Compare: press Compare to measure {model} in all modes that fit.", model=state.variant
    )
    return replace(state, tab="compare", variants=listed, prompt=state.prompt or QUESTION), render.said(said)
