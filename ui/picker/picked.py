"""What is picked: the values that show it, and a reading of them that trusts them only where they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from models.domain.catalog import ModelCard
from models.domain.errors import NotPicked, PaddockError
from models.domain.memory.plan import LoadPlan
from models.domain.quantization import modes_of
from models.domain.variant import ADAPTERS_MAX, AUTO, Variant

from ..shared import render
from . import card as render_card
from .adapters import adapter_values, read_variant

if TYPE_CHECKING:
    from models.runtime import Runtime

CONTEXT_STEP = 512
PICKED = 3 + ADAPTERS_MAX  # values of Picker.inputs
ASKED = PICKED + 2  # those of Picker.asked


class Pick(NamedTuple):
    """How the last try to pick something ended: `refused` says why nothing is picked now."""

    spelling: str = ""  # the last variant that could be picked
    tried: str = ""
    refused: str = ""


def read_picked(*values: Any) -> Variant:
    """The variant that the values of `Picker.asked` show.

    Raises NotPicked where the last pick failed, or where the lists do not say what the variant box says: a pick under
    way, or a spelling that was not entered. Then nothing may be answered, by whatever was picked before.
    """
    *parts, spelling, pick = values
    if pick.refused:
        raise NotPicked(variant=pick.tried[:80], suggestion=pick.refused)
    try:
        variant = Variant.parse(spelling)
        if read_variant(*parts) == variant:
            return variant
    except PaddockError:
        pass
    reason = "The lists still say something else. Press Enter in the variant box, or wait until the card is drawn."
    raise NotPicked(variant=str(spelling or "")[:80], suggestion=reason)


def show(runtime: Runtime, variant: Variant, context: float | None = None, or_auto: bool = False) -> list[Any]:
    """Values for `Picker.outputs`; with `or_auto`, a mode that the rest rules out gives way to `auto`.

    Raises PaddockError for a model, a mode or an adapter that cannot be used.
    """
    card = runtime.card(variant)
    described = runtime.describe(card, variant.adapters)
    if or_auto and variant.quantization not in (AUTO, *described["modes"]):
        variant = variant.resolved(AUTO)
    low, high, step = context_bounds(card.context, described["context_here"])
    tokens = max(low, min(int(context or described["context_here"]), high))
    planned = runtime.plan(variant, tokens)
    choices = [(f"auto (here: {described['auto']})", AUTO), *mode_choices(card, described["plans"])]
    return [
        variant.model,
        gr.Dropdown(choices=choices, value=variant.quantization),
        render_card.refused(described["refused"]),
        _card(runtime, variant, described, planned),
        gr.Slider(low, high, value=tokens, step=step),
        str(variant),
        card.is_base,
        Pick(str(variant)),
        *adapter_values(runtime, variant, planned.warnings),
    ]


def shown(
    runtime: Runtime,
    make: Callable[[], Variant],
    before: Pick,
    context: float | None = None,
    tried: str = "",
    or_auto: bool = False,
) -> list[Any]:
    """The same; where it cannot be, the reason in the card's place, and the way back to what was picked before.

    The context to plan for stays with its model.
    """
    spelling = ""
    try:
        spelling = str(variant := make())
        same_model = before.spelling and Variant.parse(before.spelling).model == variant.model
        return show(runtime, variant, context if same_model else None, or_auto)
    except PaddockError as error:
        card, pick = failed(before.spelling, spelling or tried, error)
        same = gr.skip()
        return [same, same, same, card, same, spelling or same, same, pick, *[same] * (ADAPTERS_MAX + 3)]


def nothing(text: str, default: str, error: PaddockError) -> list[Any]:
    """Values for `Picker.outputs` where a link names what cannot be used: its text, the reason, and empty lists."""
    card, pick = failed(default, text, error)
    lists = [None, gr.Dropdown(choices=[], value=None), "", card, gr.skip(), text, False, pick]
    hidden = [gr.Slider(visible=False, value=1)] * ADAPTERS_MAX
    return [*lists, [], *hidden, (), ""]


def failed(before: str, tried: str, error: PaddockError) -> tuple[str, Pick]:
    """The card and the state of a pick that failed."""
    return render.error(error) + render_card.back(before), Pick(before, tried or "What was tried", str(error))


def draw_card(runtime: Runtime, context: float, *values: Any) -> Any:
    """The card of what is picked, as of now; where nothing is, it stays."""
    try:
        variant = read_picked(*values)
        card = runtime.card(variant)
        low, high, _ = context_bounds(card.context, runtime.settings.context)
        planned = runtime.plan(variant, max(low, min(int(context), high)))
        return _card(runtime, variant, runtime.describe(card, variant.adapters), planned)
    except NotPicked:
        return gr.skip()
    except PaddockError as error:
        return render.error(error)


def context_bounds(longest: int, here: int) -> tuple[int, int, int]:
    """The ends and the step of a slider that reaches the `longest` context and what is given `here`.

    The lower end is below the upper one however short they are, since a slider has to have both.
    """
    low = min(CONTEXT_STEP, here, longest // 2)
    whole = low == CONTEXT_STEP and longest % CONTEXT_STEP == 0 and here % CONTEXT_STEP == 0
    return low, longest, CONTEXT_STEP if whole else 1


def mode_choices(card: ModelCard, plans: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The modes that run here, each with its bytes and what it is."""
    summaries = {mode.name: mode.summary for mode in modes_of(card)}
    return [(render_card.mode_choice(name, planned, summaries[name]), name) for name, planned in plans.items()]


def _card(runtime: Runtime, variant: Variant, described: dict[str, Any], planned: LoadPlan) -> str:
    nearest = [] if planned.fits else runtime.nearest(variant, planned.context)
    base = str(variant.without_adapters.resolved(planned.mode))
    held = next((line for line in runtime.held() if line.name == base), None)
    return render_card.card(described, planned, nearest, held)
