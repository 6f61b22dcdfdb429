"""The three visible parts of a base model's prompt, as controls."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from models.domain.request import BasePrompt

from .text import t


def draw_base_prompt(prefix: str = "") -> list[Component]:
    """Controls for the fields of BasePrompt, in their order; `prefix` is that of their ids."""
    usual = BasePrompt()
    with gr.Row():
        return [
            gr.Textbox(usual.instruction, label=t("instruction"), scale=4, elem_id=f"{prefix}instruction"),
            gr.Textbox(usual.question, label=t("question"), min_width=90, elem_id=f"{prefix}question-label"),
            gr.Textbox(usual.answer, label=t("answer"), min_width=90, elem_id=f"{prefix}answer-label"),
        ]
