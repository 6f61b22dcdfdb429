"""The votes that this browser keeps, and the ranking that they make."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from models.domain.errors import PaddockError
from models.domain.results.ranking import votes_to_json

from ..shared import render
from ..shared.events import AT_ONCE
from ..shared.text import t
from . import blind
from . import ranking as render_ranking

# The file is made of what the browser keeps; the server has no votes.
EXPORT = """(votes) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([votes || ""], { type: "application/json" }));
  link.download = "paddock-votes.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


@dataclass(frozen=True)
class Votes:
    """Where votes are kept and what is drawn of them."""

    kept: gr.BrowserState
    group: gr.Accordion
    shown: gr.HTML
    export: gr.Button
    forget: gr.Button

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [self.kept, self.group, self.shown]


def kept_votes() -> gr.BrowserState:
    """Where votes are kept; outside of any tab, since what is in one is read only once it is opened."""
    return gr.BrowserState("", storage_key="paddock-votes", secret="paddock")


def draw_votes(kept: gr.BrowserState) -> Votes:
    """Draw them; nothing is seen before the first vote."""
    with gr.Accordion(t("votes"), open=True, visible=False, elem_id="compare-votes") as group:
        shown = gr.HTML(elem_id="ranking", elem_classes="flush")
        with gr.Row(elem_id="vote-buttons"):
            export = gr.Button(t("votes_export"), size="sm", elem_id="votes-export")
            forget = gr.Button(t("votes_forget"), size="sm", elem_id="votes-forget")
    return Votes(kept, group, shown, export, forget)


def wire_votes(votes: Votes) -> None:
    """Let what was kept be taken away or forgotten."""
    votes.export.click(None, votes.kept, None, js=EXPORT, api_visibility="private")
    votes.forget.click(lambda: votes_values(votes_to_json(())), None, votes.outputs, **AT_ONCE)


def votes_values(kept: object) -> list[object]:
    """Values for `Votes.outputs`."""
    try:
        drawn = render_ranking.ranking(blind.ranked(kept))
    except PaddockError as error:
        drawn = render.error(error)
    return [kept, gr.Accordion(visible=bool(blind.restored(kept))), drawn]
