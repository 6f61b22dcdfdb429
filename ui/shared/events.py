"""How the page's events are registered and read: what computes shares one queue, what only looks up skips it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from models.domain.variant import LONGEST_SPELLING

Values = Mapping[Component, Any]  # what an event brings that was registered with a set of inputs
Fields = Mapping[str, Component]

CONCURRENCY_ID = "model"
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# In the visitor's own queue, so that what it shows comes after what a stream had already sent.
IN_ORDER: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
# A prompt that was sent does not come back into the box at the next reload.
FORGET_PROMPT = """() => {
  const address = new URL(window.location);
  address.searchParams.delete("prompt"); history.replaceState(null, "", address);
}"""


def computing(slots: int) -> dict[str, Any]:
    """Options of an event that computes; at most `slots` run at a time, the others see their place in the queue."""
    return {
        "concurrency_id": CONCURRENCY_ID,
        "concurrency_limit": slots,
        "show_progress": "minimal",
        "api_visibility": "private",
    }


def named(fields: Fields, values: Values) -> dict[str, Any]:
    """The values of some components by the names that they have here."""
    return {name: values[component] for name, component in fields.items()}


def keep_drafts(app: gr.Blocks, boxes: Mapping[str, Component]) -> None:
    """Keep the text of each box under its name, and bring it back when the page opens, unless its link says one."""
    for name, box in boxes.items():
        keep = f"(text) => window.paddock.keepDraft({json.dumps(name)}, text)"
        box.change(None, box, None, js=keep, api_visibility="private")
    open_drafts = f"(...texts) => window.paddock.openDrafts({json.dumps(list(boxes))}, texts)"
    app.load(None, [*boxes.values()], [*boxes.values()], js=open_drafts, api_visibility="private")


def own_token(token: gr.OAuthToken | None) -> str | None:
    """The Hub token of a visitor who signed in."""
    return token.token if token else None


@dataclass(frozen=True)
class Visitor:
    """Made for one event and dropped after it; the token never shows in a repr."""

    session: str
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, request: gr.Request, token: gr.OAuthToken | None) -> Visitor:
        """The visitor behind a Gradio event."""
        return cls(str(request.session_hash), own_token(token))


# Goes to `js_on_load` of a gr.HTML; one listener serves whatever is drawn later.
PRESS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-press]');
  if (button) trigger('click', { pressed: button.dataset.press });
});"""


def pressed(event: gr.EventData) -> str:
    """What the button says; empty when a program posted something else."""
    data = event._data
    return str(data.get("pressed", ""))[: LONGEST_SPELLING + 1] if isinstance(data, dict) else ""


FORMS = {"csv": ("csv", "text/csv"), "markdown": ("md", "text/markdown"), "json": ("json", "application/json")}
_DOWNLOAD = """() => {
  const rows = document.querySelector("%(where)s .measured-rows");
  if (!rows) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([rows.dataset.%(form)s], { type: "%(type)s" }));
  link.download = "paddock.%(end)s";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


def download(where: str, form: str) -> str:
    """JavaScript that saves the rows inside of the element `where` in one of FORMS."""
    end, kind = FORMS[form]
    return _DOWNLOAD % {"where": where, "form": form, "type": kind, "end": end}
