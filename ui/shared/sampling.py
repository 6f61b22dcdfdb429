"""The sampling controls, drawn from the bounds that the server enforces, and read back into a Sampling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError, SamplingOutOfBounds
from models.domain.messages import BOUNDS, SEED_MAX, Bound, Sampling
from models.domain.request import BasePrompt

from .lenient import Slider
from .text import EN, t

_WRITTEN_END = re.compile(r"(\\+)n")
_END = re.compile(r"(\\*)([\nn])")


def sampling_controls(limits: dict[str, int]) -> dict[str, Component]:
    """A control for each field of Sampling; `limits` lowers a bound on this server."""
    sliders = {name: _slider(name, bound, limits.get(name)) for name, bound in BOUNDS.items()}
    seed = gr.Number(
        None, precision=0, minimum=0, maximum=SEED_MAX, label=t("seed"), info=t("seed_info"), elem_id="seed"
    )
    stop = gr.Textbox("", lines=2, label=t("stop_strings"), info=t("stop_strings_info"), elem_id="stop_strings")
    return {**sliders, "seed": seed, "stop": stop}


def _slider(name: str, bound: Bound, limit: int | None) -> gr.Slider:
    high = bound.high if limit is None else min(bound.high, limit)
    return Slider(
        bound.low,
        max(high, bound.low + bound.step),  # a slider has two ends; where there is one value, it cannot be moved
        value=min(bound.default, high),
        step=bound.step,
        interactive=high > bound.low,
        label=t(name) if name in EN else name.replace("_", " ").capitalize(),
        info=t(f"{name}_info") if f"{name}_info" in EN else None,
        elem_id=name,
    )


def within(sampling: Sampling, longest: int, errors: list[PaddockError]) -> Sampling:
    """The sampling of a link with an answer no longer than this server's; an error for one that asked for more."""
    asked = sampling.max_new_tokens
    if asked <= longest:
        return sampling
    if asked != BOUNDS["max_new_tokens"].default:  # then the link says so
        wanted = f"at most {longest:,} on this server"
        errors.append(SamplingOutOfBounds(name="max_new_tokens", value=asked, wanted=wanted))
    return replace(sampling, max_new_tokens=longest)


def read_sampling(shown: Mapping[str, Any]) -> Sampling:
    """What the controls show, as a Sampling; raises SamplingOutOfBounds."""
    return Sampling(**{**shown, "stop": read_stops(shown["stop"] or "")})


def sampling_values(sampling: Sampling) -> dict[str, Any]:
    """What the controls show for a Sampling."""
    return asdict(sampling) | {"stop": write_stops(sampling.stop)}


def read_stops(typed: str) -> tuple[str, ...]:
    """Stop texts, one a line; `\\n` is a line end in one, and `\\\\n` a backslash before an n."""
    return tuple(_WRITTEN_END.sub(_end, line) for line in typed.split("\n") if line)


def write_stops(stop: Sequence[str]) -> str:
    """What `read_stops` reads as these texts."""
    return "\n".join(_END.sub(_written_end, text) for text in stop)


def _end(found: re.Match[str]) -> str:
    count = len(found[1])
    return "\\" * (count // 2) + ("\n" if count % 2 else "n")


def _written_end(found: re.Match[str]) -> str:
    return "\\" * (2 * len(found[1]) + (found[2] == "\n")) + "n"


def draw_base_prompt(prefix: str = "") -> dict[str, Component]:
    """A control for each field of BasePrompt; `prefix` is that of their ids."""
    usual = BasePrompt()
    with gr.Row():
        return {
            "instruction": gr.Textbox(
                usual.instruction, label=t("instruction"), scale=4, elem_id=f"{prefix}instruction"
            ),
            "question": gr.Textbox(
                usual.question, label=t("question"), min_width=90, elem_id=f"{prefix}question-label"
            ),
            "answer": gr.Textbox(usual.answer, label=t("answer"), min_width=90, elem_id=f"{prefix}answer-label"),
        }
