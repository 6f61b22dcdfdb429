"""The controls of thinking: a switch as the picked model's chat template knows it, and how long a thought may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError, SamplingOutOfBounds
from models.domain.thinking import BUDGET, SWITCHES, TemplateThinking, Thinking

from .language import say
from .lenient import Slider
from .text import t

NAMES = {"auto": "Auto", "on": "On", "off": "Off", "low": "Low", "medium": "Medium", "high": "High"}


def thinking_controls(longest: int) -> tuple[gr.Column, dict[str, Component]]:
    """A control for each field of Thinking, at most `longest` tokens, in a column that is hidden at first."""
    with gr.Column(visible=False, elem_id="thinking") as parts:
        switch = gr.Radio([*SWITCHES], value="auto", label=t("thinking"), elem_id="thinking-switch")
        budget = Slider(
            BUDGET.low,
            max(min(BUDGET.high, longest), BUDGET.low + 1),
            value=min(BUDGET.default, longest),
            step=1,
            label=t("thinking_budget"),
            info=t("thinking_budget_info"),
            elem_id="thinking-budget",
        )
    return parts, {"switch": switch, "budget": budget}


def shown_thinking(known: TemplateThinking | None, switch: Any) -> list[Any]:
    """What the controls show for what is known of a model's chat template."""
    if known is None or not (known.marks or known.switches):
        return [gr.Column(visible=False), gr.Radio(value="auto")]
    choices: list[tuple[str, str]] = [(say(NAMES[name]), name) for name in known.switches or SWITCHES]
    value = switch if switch in known.switches else "auto"
    return [gr.Column(visible=True), gr.Radio(choices, value=value, visible=bool(known.switches))]


def read_thinking(shown: Mapping[str, Any]) -> Thinking:
    """What the controls show, as a Thinking; raises SamplingOutOfBounds."""
    return Thinking(shown["switch"] or "auto", shown["budget"])


def thinking_values(thinking: Thinking, longest: int, errors: list[PaddockError]) -> dict[str, Any]:
    """What the controls show for a Thinking of a link; an error for one that is longer than this server allows."""
    if thinking.budget is not None and thinking.budget > longest:
        wanted = f"at most {longest:,} on this server"
        errors.append(SamplingOutOfBounds(name="thinking_budget", value=thinking.budget, wanted=wanted))
        thinking = replace(thinking, budget=longest)
    return {"switch": thinking.switch, "budget": gr.skip() if thinking.budget is None else thinking.budget}
