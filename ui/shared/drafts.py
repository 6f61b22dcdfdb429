"""What is typed and not sent yet outlives a reload of its tab."""

from __future__ import annotations

import json
from collections.abc import Mapping

import gradio as gr
from gradio.components import Component


def keep_drafts(app: gr.Blocks, boxes: Mapping[str, Component]) -> None:
    """Keep the text of each box under its name, and bring it back when the page opens, unless its link says one."""
    for name, box in boxes.items():
        keep = f"(text) => window.paddock.keepDraft({json.dumps(name)}, text)"
        box.change(None, box, None, js=keep, api_visibility="private")
    open_drafts = f"(...texts) => window.paddock.openDrafts({json.dumps(list(boxes))}, texts)"
    app.load(None, [*boxes.values()], [*boxes.values()], js=open_drafts, api_visibility="private")
