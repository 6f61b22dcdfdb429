"""Buttons inside of drawn HTML: `data-press` says what a press means, and the handler reads it."""

from __future__ import annotations

import gradio as gr

from models.domain.variant import LONGEST_SPELLING

# Goes to `js_on_load` of a gr.HTML; one listener serves whatever is drawn later.
PRESS = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-press]');
  if (button) trigger('click', { pressed: button.dataset.press });
});"""


def pressed(event: gr.EventData) -> str:
    """What the button says; empty when a program posted something else."""
    data = event._data
    return str(data.get("pressed", ""))[: LONGEST_SPELLING + 1] if isinstance(data, dict) else ""
