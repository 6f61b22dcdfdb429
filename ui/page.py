"""What the page gives to each of its tabs, and what a tab gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from .picker.picker import Picker
from .shared.events import NO_CHANGE, Fields, Values, named, raises, signal, while_open
from .shared.sampling import read_sampling
from .shared.thinking import read_thinking
from .shared.url import PageState

if TYPE_CHECKING:
    from models.runtime import Runtime


@dataclass(frozen=True)
class Page:
    """The parts that all tabs share; what a browser keeps is made outside of any tab, or it would be read too late."""

    app: gr.Blocks
    runtime: Runtime
    picker: Picker
    sampling: Fields
    thinking: Fields
    conversation: gr.HTML
    votes: gr.BrowserState
    compared: gr.BrowserState
    candidates: gr.BrowserState  # spellings
    handed: gr.HTML  # a signal: what another tab has the workshop's forms filled with, as JSON
    opened: gr.HTML  # a signal: the name of the open tab

    def picked_in(self, tab: str) -> gr.HTML:
        """A signal for a tab that shows what is picked: another was, and the tab is open."""
        return while_open(tab, self.opened, self.picker.changed)

    def opening(self, tab: str) -> gr.HTML:
        """A signal: a tab was opened."""
        own = signal()
        js = f"(opened) => opened === {tab!r} ? String(performance.now()) : {NO_CHANGE}"
        raises(self.opened.change, own, js, [self.opened])
        return own

    @property
    def lengths(self) -> list[Callable[..., Any]]:
        """The triggers after which an answer may become longer or shorter."""
        fields: list[Any] = [self.sampling["max_new_tokens"], *self.thinking.values()]
        return [field.change for field in fields]

    def stated(self, tabs: Mapping[str, Tab]) -> set[Component]:
        """The components that `state` reads."""
        linked = {component for tab in tabs.values() for component in tab.linked}
        return linked | {*self.picker.asked, *self.sampling.values(), *self.thinking.values()}

    def state(self, tabs: Mapping[str, Tab], opened: str, values: Values) -> PageState:
        """What the page shows, with the texts of the open tab; raises VariantError, SamplingOutOfBounds."""
        first = next(iter(tabs))
        name = opened if opened in tabs else first
        picked, sampling = self.picker.read(values), read_sampling(named(self.sampling, values))
        return PageState(
            picked.variant,
            sampling,
            tab="" if name == first else name,
            hardware=picked.hardware or "",
            thinking=read_thinking(named(self.thinking, values)),
            **tabs[name].state(values),
        )


@dataclass(frozen=True)
class Tab:
    """What the rest of the page needs of a tab.

    `computed` are the events after which something was computed, `status` is its line for errors. `linked` are the
    components that a link fills: `open` makes their values of one, `state` the fields of one of what they show.
    """

    status: gr.HTML
    computed: Sequence[Any]
    linked: Sequence[Component] = ()
    open: Callable[[PageState], list[Any]] = lambda state: []
    state: Callable[[Values], dict[str, Any]] = lambda values: {}
