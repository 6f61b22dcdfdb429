"""What is picked: the values that show it, and a reading of them that trusts them only where they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from models.domain.catalog import ModelCard, is_toy
from models.domain.errors import NotPicked, PaddockError
from models.domain.memory.bytes import file_bytes
from models.domain.memory.hardware import Hardware, find_hardware
from models.domain.memory.model_info import ModelInfo
from models.domain.memory.plan import LoadPlan
from models.domain.quantization import modes_of
from models.domain.variant import ADAPTERS_MAX, AUTO, AdapterChoice, Variant

from ..shared import render
from ..shared.language import visitors_language
from ..shared.spoken import language_note
from . import card as render_card
from .adapters import adapter_values
from .models import model_box
from .quantizations import quantization_table

if TYPE_CHECKING:
    from models.runtime import Runtime

CONTEXT_STEP = 512
FILES_WAIT_S = 1.0  # for the Hub's list of a model's files, which is drawn at the next pick where it comes later


class Pick(NamedTuple):
    """How the last try to pick something ended: `refused` says why nothing is picked now."""

    spelling: str = ""  # the last variant that could be picked
    tried: str = ""
    refused: str = ""
    card: str = ""  # that says so


NOTHING = Pick()


@dataclass(frozen=True)
class Picked:
    """What the components of the picker show."""

    model: str | None
    quantization: str | None
    names: Sequence[str] | None = ()
    strengths: Sequence[float] = ()
    spelling: str | None = ""
    pick: Pick = NOTHING
    context: float | None = None
    hardware: str | None = ""
    under_way: str | None = ""

    @property
    def machine(self) -> Hardware | None:
        """What is planned for, None for this machine; raises UnknownHardware."""
        return find_hardware(self.hardware) if self.hardware else None

    @property
    def listed(self) -> Variant:
        """The variant that the lists and sliders spell; raises VariantError."""
        names = self.names or []
        pairs = zip_longest(names, self.strengths[: len(names)], fillvalue=1.0)
        adapters = tuple(AdapterChoice(str(name).strip(), _number(weight)) for name, weight in pairs)
        return Variant((self.model or "").strip(), self.quantization or AUTO, adapters)

    @property
    def variant(self) -> Variant:
        """The variant that is picked.

        Raises NotPicked where the last pick failed, or where the lists do not say what the variant box says: a pick
        under way, or a spelling that was not entered. Then nothing may be answered, by whatever was picked before.
        """
        if self.pick.refused:
            raise NotPicked(variant=self.pick.tried[:80], suggestion=self.pick.refused)
        if self.under_way:
            raise NotPicked(variant=self.under_way[:80], suggestion="Wait until the card is drawn.")
        with suppress(PaddockError):
            if (variant := Variant.parse(self.spelling or "")) == self.listed:
                return variant
        reason = "The lists still say something else. Press Enter in the variant box, or wait until the card is drawn."
        raise NotPicked(variant=str(self.spelling or "")[:80], suggestion=reason)


def _number(weight: Any) -> float:
    return float(weight) if isinstance(weight, int | float) and not isinstance(weight, bool) else float("nan")


def show(
    runtime: Runtime,
    variant: Variant,
    context: float | None = None,
    or_auto: bool = False,
    hardware: Hardware | None = None,
    token: str | None = None,
) -> list[Any]:
    """Values for `Picker.outputs`; with `or_auto`, a mode that the rest rules out gives way to `auto`.

    Raises PaddockError for a model, a mode or an adapter that cannot be used.
    """
    runtime.look_up_files(variant, token=token)
    card, notice = runtime.card(variant, token), ""
    described = runtime.describe(card, variant.adapters, hardware)
    if or_auto and variant.quantization not in (AUTO, *described.modes):
        notice = render_card.gave_way(variant, described)
        variant = variant.resolved(AUTO)
    low, high, step = context_bounds(card.context, described.context_here)
    tokens = max(low, min(int(context or described.context_here), high))
    described = runtime.describe(card, variant.adapters, hardware, tokens)
    planned, models = runtime.plan(variant, tokens, token, hardware), runtime.listing(hardware)
    return [
        variant.model,
        model_box(models, variant.model),
        variant.quantization,
        _table(runtime, card, described, variant),
        notice + _card(runtime, variant, described, planned, hardware, token),
        render_card.chip(described, planned),
        gr.Slider(low, high, value=tokens, step=step),
        str(variant),
        card.kind,
        Pick(str(variant)),
        *adapter_values(runtime, variant, planned.warnings, token=token),
        "",
        language_note(described, visitors_language(), models),
    ]


def shown(
    runtime: Runtime,
    make: Callable[[], Variant],
    before: Pick,
    context: float | None = None,
    tried: str = "",
    or_auto: bool = False,
    there: Hardware | None = None,
    token: str | None = None,
) -> list[Any]:
    """The same; where it cannot be, the reason in the card's place, and the way back to what was picked before.

    The context to plan for stays with its model.
    """
    spelling = ""
    try:
        spelling = str(variant := make())
        runtime.look_up_files(variant, FILES_WAIT_S, token)
        same_model = before.spelling and Variant.parse(before.spelling).model == variant.model
        return show(runtime, variant, context if same_model else None, or_auto, there, token)
    except PaddockError as error:
        card, pick = failed(before.spelling, spelling or tried, error)
        same = gr.skip()
        lists, adapters = [same] * 4, [same] * (ADAPTERS_MAX + 3)
        return [*lists, card, render_card.no_chip(), same, spelling or same, same, pick, *adapters, "", ""]


def nothing(runtime: Runtime, text: str, default: str, error: PaddockError) -> list[Any]:
    """Values for `Picker.outputs` where a link names what cannot be used: its text, the reason, and empty lists."""
    card, pick = failed(default, text, error)
    models, same = model_box(runtime.listing(), ""), gr.skip()
    lists = ["", models, None, "", card, render_card.no_chip(), same, text, "instruct", pick]
    hidden = [gr.Slider(visible=False, value=1)] * ADAPTERS_MAX
    return [*lists, [], *hidden, (), "", "", ""]


def failed(before: str, tried: str, error: PaddockError) -> tuple[str, Pick]:
    """The card and the state of a pick that failed."""
    card = render.error(error) + render_card.back(before)
    return card, Pick(before, tried or "What was tried", str(error), card)


def draw_card(runtime: Runtime, picked: Picked, token: str | None = None) -> Any:
    """The card of what is picked, as of now, or of the pick that failed; while one is under way, it stays."""
    if picked.pick.card:
        return picked.pick.card
    try:
        variant = picked.variant
        card = runtime.card(variant, token)
        low, high, _ = context_bounds(card.context, runtime.settings.context)
        tokens, hardware = max(low, min(int(picked.context or high), high)), picked.machine
        described = runtime.describe(card, variant.adapters, hardware, tokens)
        planned = runtime.plan(variant, tokens, token, hardware)
        return _card(runtime, variant, described, planned, hardware, token)
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


def _table(runtime: Runtime, card: ModelCard, described: ModelInfo, variant: Variant) -> str:
    summaries = {mode.name: mode.summary for mode in modes_of(card)}
    first = f"gguf-{card.gguf.label.lower()}" if card.gguf else ""
    more = summaries.keys() - {first, *(mode.name for mode in modes_of(runtime.catalog.get(card.key, card)))}
    perplexities = runtime.perplexities.get(card.key, {})
    return quantization_table(described, variant.quantization, summaries, perplexities, more)


def _card(
    runtime: Runtime,
    variant: Variant,
    described: ModelInfo,
    planned: LoadPlan,
    hardware: Hardware | None,
    token: str | None,
) -> str:
    nearest = [] if planned.fits else runtime.nearest(variant, planned.context, token, hardware)
    base = str(variant.without_adapters.resolved(planned.mode))
    held = next((line for line in runtime.held() if line.name == base), None) if hardware is None else None
    longest = runtime.longest_context(variant, hardware, token) if planned.is_local else 0
    note = _toy(runtime, described, hardware)
    return render_card.card(described, planned, nearest, held, longest, note, str(variant))


def _toy(runtime: Runtime, described: ModelInfo, hardware: Hardware | None) -> str:
    """A note where the model is a toy and a good one fits; its size is that of the files that would be downloaded."""
    good = runtime.catalog.good
    if good is None or not is_toy(described.parameters):
        return ""
    variant = Variant(good.key)
    if not runtime.plan(variant, hardware=hardware).fits:
        return ""
    mode = runtime.resolve(variant, good, hardware)[1]
    return render_card.toy(good.key, good.title, file_bytes(replace(good, wheel=None), mode))
