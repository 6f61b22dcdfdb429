"""Beside a button: what its press will cost of ZeroGPU's quota, who is charged, and how much the visitor has left."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError
from models.domain.gpu_cost import GpuCost

from ..shared.events import AT_ONCE, Values, own_token, raises, signal
from ..shared.language import say
from .picker import Picker

if TYPE_CHECKING:
    from models.runtime import Runtime

PASS = "x-ip-token"  # of the Hub's proxy: a JWT, by which ZeroGPU charges


@dataclass(frozen=True)
class CostLine:
    """The cost, and what is left of the visitor's quota; drawn only where a GPU is lent."""

    cost: gr.HTML
    left: gr.HTML


def draw_cost(runtime: Runtime, name: str) -> CostLine | None:
    """Draw them empty, with the room that they will take."""
    if not runtime.gpu_is_lent:
        return None
    with gr.Row(elem_classes="cost-line", elem_id=f"{name}-cost"):
        return CostLine(gr.HTML(elem_classes="flush"), gr.HTML(elem_classes="flush"))


def wire_cost(
    runtime: Runtime,
    picker: Picker,
    line: CostLine | None,
    count: Callable[[Values, str | None], GpuCost | None],
    inputs: Collection[Component],
    changes: Sequence[Callable[..., Any]],
    computed: Sequence[Any],
) -> None:
    """Count anew after another pick, after each of `changes` (triggers), and after what was computed."""
    if line is None:
        return

    def told(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> str:
        try:
            cost = count(values, own_token(token, values[picker.token]))
        except PaddockError:  # said where it is asked
            return ""
        return (
            f"<p>{sentence(cost, runtime.settings.gpu_seconds, is_charged(dict(request.headers)))}</p>" if cost else ""
        )

    def told_left(token: gr.OAuthToken | None, values: Values) -> str:
        seconds = runtime.gpu_seconds_left(own_token(token, values[picker.token]))
        return (
            ""
            if seconds is None
            else f"<p>{say('{minutes} min of your quota left', minutes=f'{seconds / 60:.1f}')}</p>"
        )

    due, spent = signal(), signal()
    for change in (picker.changed.change, *changes):
        raises(change, due)
    for event in computed:  # a worker is warm then, and the quota smaller
        raises(event.then, due)
        raises(event.then, spent)
    for change in (picker.token.submit, picker.changed.change):
        raises(change, spent)
    due.change(told, inputs, line.cost, **AT_ONCE)
    spent.change(told_left, {picker.token}, line.left, **AT_ONCE)


def sentence(cost: GpuCost, most: int, signed_in: bool) -> str:
    """What a press costs, in which calls, and of whom."""
    if not cost.seconds:
        return say("No GPU quota is used.")
    seconds = cost.seconds * (2 if cost.size == "xlarge" else 1)
    parts = [say("About {seconds} s of GPU quota", seconds=seconds)]
    if cost.calls > 1:
        parts.append(say("in {calls} GPU calls", calls=cost.calls))
    if cost.size == "xlarge":
        parts.append(say("an xlarge GPU counts double"))
    else:
        parts.append(say("on a large GPU"))
    if cost.cut:
        parts.append(say("an answer may end early, since a call has at most {most} s", most=most))
    whose = (
        say("of your account") if signed_in else say("of your network address: you are not signed in to the Hub here")
    )
    return " · ".join([*parts, whose])


def is_charged(headers: dict[str, str]) -> bool:
    """Whether the Hub's proxy says which account asks; of an embedded page it knows the address alone."""
    with suppress(ValueError, TypeError, AttributeError):
        _, payload, _ = headers.get(PASS, "").split(".")
        return bool(json.loads(base64.urlsafe_b64decode(f"{payload}==")).get("user"))
    return False
