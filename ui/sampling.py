"""The sampling controls, drawn from the bounds that the server enforces, and read back into a Sampling."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from models.spec.messages import BOUNDS, SEED_MAX, Sampling

from .text import EN, t


def sampling_controls(limits: dict[str, int]) -> list[Component]:
    """One slider a value, then seed and stop strings; `limits` lowers a bound on this server."""
    sliders: list[Component] = [
        gr.Slider(
            bound.low,
            min(bound.high, limits.get(name, bound.high)),
            value=min(bound.default, limits.get(name, bound.default)),
            step=bound.step,
            label=t(name),
            info=t(f"{name}_info") if f"{name}_info" in EN else None,
            elem_id=name,
        )
        for name, bound in BOUNDS.items()
    ]
    seed = gr.Number(
        None, precision=0, minimum=0, maximum=SEED_MAX, label=t("seed"), info=t("seed_info"), elem_id="seed"
    )
    stop = gr.Textbox("", lines=2, label=t("stop_strings"), info=t("stop_strings_info"), elem_id="stop_strings")
    return [*sliders, seed, stop]


def read_sampling(values: list[Any] | tuple[Any, ...]) -> Sampling:
    """The values of `sampling_controls` in their order; raises SamplingOutOfBounds."""
    *numbers, seed, stop = values
    lines = tuple(line.replace("\\n", "\n") for line in (stop or "").split("\n") if line)
    return Sampling(**dict(zip(BOUNDS, numbers, strict=True)), seed=seed, stop=lines)


def sampling_values(sampling: Sampling) -> list[Any]:
    """What the controls show for a Sampling."""
    stop = "\n".join(text.replace("\n", "\\n") for text in sampling.stop)
    return [*(getattr(sampling, name) for name in BOUNDS), sampling.seed, stop]
