"""The comparison that a browser keeps: what is there of it comes back when the page opens again."""

from __future__ import annotations

import json
from dataclasses import replace

import gradio as gr

from models.domain.errors import PaddockError
from models.domain.results.comparison import Comparison, without_tokens
from models.domain.results.file import from_json, to_json

from .state import Shown, View, ended

LONGEST = 2_000_000  # characters; a browser keeps some 5 million of a page


def kept_comparison() -> gr.BrowserState:
    """Where it is kept; outside of any tab, since what is in one is read only once it is opened."""
    return gr.BrowserState("", storage_key="paddock-comparison", secret="paddock")


def to_kept(shown: Shown, so_far: Comparison | None = None, run: str = "") -> str:
    """What is shown, or what there is `so_far` of what still runs, with the id of its `run` on the server.

    Without what makes it too long, or nothing.
    """
    comparison = shown.comparison or so_far
    if comparison is None:
        return ""
    running = shown.comparison is None
    about: dict[str, object] = {"order": shown.order, "voted": shown.voted, "raw": shown.view.raw, "run": run}
    about |= {"stopped": shown.stopped or running, "interrupted": shown.interrupted or running}
    for shorten in (_whole, without_tokens, _without_prompts):
        text = json.dumps({**about, "file": to_json(shorten(comparison))}, ensure_ascii=False)
        if len(text) <= LONGEST:
            return text
    return json.dumps({"run": run}) if run else ""


def run_of(text: object) -> str:
    """The id of the run that was under way; empty where none was, or it cannot be read."""
    try:
        run = json.loads(text)["run"] if isinstance(text, str) and len(text) <= LONGEST else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return run if isinstance(run, str) else ""


def from_kept(text: object) -> Shown:
    """What was shown, with nothing forged let through; nothing where it cannot be read."""
    if not isinstance(text, str) or not text or len(text) > LONGEST:
        return Shown()
    try:
        data = json.loads(text)
        comparison = from_json(data["file"])
        order, voted = tuple(data["order"]), data["voted"]
    except (PaddockError, ValueError, KeyError, TypeError, RecursionError):
        return Shown()
    count = len(comparison.columns)
    if any(type(place) is not int for place in order) or sorted(order) not in ([], [*range(count)]):
        order = ()
    voted = voted if type(voted) is int and -1 <= voted < count else None
    shown = Shown(order=order, voted=voted, view=View(raw=data.get("raw") is True))
    over = ended(shown, comparison, data.get("stopped") is True)
    return replace(over, interrupted=data.get("interrupted") is True)


def _whole(comparison: Comparison) -> Comparison:
    return comparison


def _without_prompts(comparison: Comparison) -> Comparison:
    columns = (replace(column, tokens=(), prompt="", thought="", earlier=()) for column in comparison.columns)
    return replace(comparison, columns=tuple(columns))
