"""How the page's events are registered and read: what computes shares one queue, what only looks up skips it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.context import LocalContext

from models.domain.variant import LONGEST_SPELLING

Values = Mapping[Component, Any]  # what an event brings that was registered with a set of inputs
Fields = Mapping[str, Component]

CONCURRENCY_ID = "model"
TOKEN_HEADER = "x-hf-authorization"
# With every event, Gradio's page goes through all components that ever showed progress, hidden or not, and copies all
# that they hold; an event that shows none names no component for it.
UNSHOWN: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": []}
# Gradio drops an event that comes while its forerunner is under way, unless it is told otherwise: what follows the page
# is asked once more afterwards, with what the page shows then.
AT_ONCE: dict[str, Any] = UNSHOWN | {
    "queue": False,
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
# For a press that brings what was pressed: asked once more, the first would be repeated.
PRESSED = AT_ONCE | {"trigger_mode": "multiple"}
# In the visitor's own queue, so that what it shows comes after what a stream had already sent.
IN_ORDER: dict[str, Any] = UNSHOWN | {"concurrency_limit": None, "api_visibility": "private"}
# Of requests side by side the answer to an earlier one may come last, and stay: what several events would draw anew is
# asked for by one event, the change of a signal that each of them writes to.
_NOW = "() => String(performance.now())"
# Before the page has opened nothing is asked for that its opening asks for anyway.
NO_CHANGE = '{ __type__: "update" }'
ONCE_OPEN = f"""() => document.querySelector("#card .card, #card .error") ? String(performance.now()) : {NO_CHANGE}"""
# When the page opens, what is picked is painted before anything that follows it is asked for.
AFTER_PAINT = "() => new Promise((wake) => setTimeout(() => wake(String(performance.now())), 50))"


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


def signal(value: str = "") -> gr.HTML:
    """A value that the page holds and never draws; it changes whenever one of the triggers given to `raises` fires.

    Gradio's page tells of the change of what is not drawn as well, and at a hundredth of the price of a hidden box.
    """
    return gr.HTML(value, visible=False)


def raises(trigger: Callable[..., Any], raised: gr.HTML, js: str = _NOW, inputs: Sequence[Component] = ()) -> None:
    """Let a trigger such as `button.click` or `event.then` change a signal, to what the JavaScript makes of inputs."""
    trigger(None, list(inputs), raised, js=js, api_visibility="private")


def while_open(tab: str, opened: gr.HTML, raised: gr.HTML) -> gr.HTML:
    """A signal for what one tab alone shows: raised as another is while the tab is open, else as soon as it is opened.

    `opened` holds the name of the open tab.
    """
    own = signal()
    js = f"(opened, raised) => opened === {json.dumps(tab)} ? raised : {NO_CHANGE}"
    for trigger in (raised.change, opened.change):
        raises(trigger, own, js, [opened, raised])
    return own


def follows(
    raised: gr.HTML, handler: Callable[..., Any], inputs: Collection[Component], outputs: Collection[Component]
) -> None:
    """Draw `outputs` anew after each change of a signal that others follow too, one request at a time."""
    own = signal()
    raises(raised.change, own)
    own.change(handler, inputs, outputs, **AT_ONCE)


def keep_drafts(
    app: gr.Blocks, boxes: Mapping[str, Component], linked: Mapping[str, Sequence[str]], tab: str = ""
) -> None:
    """Keep what each box shows under its name, and bring it back when the page opens.

    What a link says wins: `linked` are the parameters of one that say a box, where it opens `tab`.
    """
    keep = f"(...values) => window.paddock.keepDrafts({json.dumps(list(boxes))}, values)"
    shown = [*boxes.values()]
    gr.on([box.change for box in shown], None, shown, None, js=keep, api_visibility="private")
    usual = {name: "" if box.value is None else box.value for name, box in boxes.items()}
    about = json.dumps([usual, {name: list(said) for name, said in linked.items()}, tab], ensure_ascii=False)
    opening = f"() => window.paddock.openDrafts(...{about})"
    app.load(None, None, shown, js=opening, api_visibility="private")


def own_token(token: gr.OAuthToken | None, typed: Any = None) -> str | None:
    """The Hub token of a visitor who signed in, who typed one into the page, or whose program sent one."""
    return token.token if token else str(typed or "").strip() or sent_token(LocalContext.request.get(None))


def sent_token(request: Any) -> str | None:
    """The Hub token that a program sent with a request, where gradio_client puts it."""
    kind, _, token = (request.headers.get(TOKEN_HEADER, "") if request else "").partition(" ")
    return token.strip() or None if kind.lower() == "bearer" else None


@dataclass(frozen=True)
class Visitor:
    """Made for one event and dropped after it; the token never shows in a repr."""

    session: str
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, request: gr.Request, token: gr.OAuthToken | None, typed: Any = None) -> Visitor:
        """The visitor behind a Gradio event."""
        return cls(str(request.session_hash), own_token(token, typed))


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
  window.paddock.save(rows.dataset.%(form)s, "%(type)s", "paddock.%(end)s");
}"""
SAVE_PAGE = """(html) => { if (html) window.paddock.save(html, "text/html", "paddock.html"); }"""


def download(where: str, form: str) -> str:
    """JavaScript that saves the rows inside of the element `where` in one of FORMS."""
    end, kind = FORMS[form]
    return _DOWNLOAD % {"where": where, "form": form, "type": kind, "end": end}
