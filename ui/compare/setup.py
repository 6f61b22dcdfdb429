"""The upper part of the Compare tab: which variants, asked what, with which options, and what they will take."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import BadComparisonRequest, NoReference, PaddockError
from models.domain.messages import SEED_MAX, Sampling
from models.domain.reference import REFERENCE_TEXT
from models.domain.request import BasePrompt, ChatRequest, CompareRequest
from models.domain.results.comparison import Comparison
from models.domain.results.contenders import acts_as, check_variants, contenders, sift
from models.domain.results.suggestion import TOLERANCE
from models.domain.variant import AUTO, AdapterChoice, Variant

from ..picker.picked import read_picked
from ..picker.picker import Picker
from ..shared import render
from ..shared.base_prompt import draw_base_prompt
from ..shared.events import AT_ONCE
from ..shared.sampling import read_sampling
from ..shared.text import t
from . import presets as compare_presets
from . import render as render_compare
from . import state as compare_state

if TYPE_CHECKING:
    from models.runtime import Runtime

FIRST = ""  # as the reference: the first of the list, whichever that is


@dataclass(frozen=True)
class CompareSetup:
    """What the visitor sets before a run."""

    left: gr.Column
    variants: gr.Dropdown
    buttons: dict[str, gr.Button]
    prompt: gr.Textbox
    plan: gr.HTML
    system: gr.Textbox
    base_prompt: list[Component]
    blind: gr.Checkbox
    greedy: gr.Checkbox
    one_pass: gr.Checkbox
    tokens: gr.Checkbox
    reference: gr.Dropdown
    quality: gr.Checkbox
    text: gr.Textbox
    distance: gr.Slider

    @property
    def inputs(self) -> list[Component]:
        """What `read_request` takes, before the sampling controls."""
        asked = [self.variants, self.prompt, self.system, *self.base_prompt, self.reference]
        return [*asked, self.greedy, self.one_pass, self.tokens, self.quality, self.text]


RIVALS = 5  # of each token, in the token view
ASKED = 12  # values of CompareSetup.inputs


def draw_setup(runtime: Runtime) -> CompareSetup:
    """On the left the list and the prompt, on the right the plan, the system prompt and the options."""
    with gr.Row(elem_id="compare-setup"):
        with gr.Column(scale=3, min_width=320) as left:
            variants = _draw_list(runtime)
            with gr.Row(elem_id="compare-presets"):
                names = ("add_picked", *(f"preset_{name}" for name in PRESETS))
                buttons = {name: gr.Button(t(name), size="sm", elem_id=name.replace("_", "-")) for name in names}
            prompt = gr.Textbox(
                label=t("compare_prompt"),
                placeholder=t("compare_placeholder"),
                lines=2,
                max_lines=8,
                elem_id="compare-prompt",
            )
        with gr.Column(scale=2, min_width=300):
            plan = gr.HTML(elem_id="compare-plan", elem_classes="flush")
            with gr.Accordion(t("system"), open=False, elem_id="compare-system-group"):
                system = gr.Textbox(
                    show_label=False, placeholder=t("system_placeholder"), lines=2, elem_id="compare-system"
                )
            with gr.Accordion(t("base_prompt"), open=False, elem_id="compare-base-group"):
                base_prompt = draw_base_prompt("compare-")
            options = _draw_options()
    return CompareSetup(left, variants, buttons, prompt, plan, system, base_prompt, *options)


def _draw_list(runtime: Runtime) -> gr.Dropdown:
    fitting = [m["key"] for m in runtime.models() if any(planned["fits"] for planned in m["plans"].values())]
    return gr.Dropdown(
        fitting,
        value=[],
        multiselect=True,
        allow_custom_value=True,  # any spelling; the server checks each
        label=t("compare_variants"),
        info=t("compare_variants_info"),
        elem_id="compare-variants",
    )


def _draw_options() -> tuple[Any, ...]:
    """In the order of the fields of CompareSetup."""

    def check(name: str, value: bool) -> gr.Checkbox:
        return gr.Checkbox(value, label=t(name), info=t(f"{name}_info"), elem_id=f"compare-{name.replace('_', '-')}")

    with gr.Accordion(t("compare_options"), open=False, elem_id="compare-options"):
        blind, greedy, one_pass = check("blind", False), check("greedy", True), check("one_pass", True)
        tokens = check("token_view", False)
        reference = gr.Dropdown(
            [("the first", FIRST)],
            value=FIRST,
            label=t("reference"),
            info=t("compare_reference_info"),
            elem_id="compare-reference",
        )
        quality = check("quality", True)
        text = gr.Textbox(REFERENCE_TEXT, label=t("scored_text"), lines=3, max_lines=5, elem_id="compare-text")
        distance = gr.Slider(
            1, 50, round(TOLERANCE * 100), step=1, label=t("distance"), info=t("distance_info"), elem_id="distance"
        )
    return blind, greedy, one_pass, tokens, reference, quality, text, distance


def wire_setup(runtime: Runtime, setup: CompareSetup, picker: Picker, status: gr.HTML) -> None:
    """Let the buttons fill the list, and the plan and the references follow it."""

    def add(listed: list[str] | None, *values: Any) -> list[Any]:
        try:
            spelling = str(read_picked(*values))
        except PaddockError as error:
            return [gr.skip(), render.error(error)]
        if spelling in (listed or []):
            return [gr.skip(), render.said(f"{spelling} is in the list already.")]
        return [[*(listed or []), spelling], ""]

    def fill(make: Callable[[Runtime, Variant], list[str]], lacking: str) -> Callable[..., list[Any]]:
        def filled(*values: Any) -> list[Any]:
            try:
                picked = read_picked(*values)
                found = make(runtime, picked)
            except PaddockError as error:
                return [gr.skip(), render.error(error)]
            if len(found) < 2:
                return [gr.skip(), render.said(f"{picked.model} {lacking}.")]
            return [found, ""]

        return filled

    def follow_list(token: gr.OAuthToken | None, listed: list[str] | None, reference: str | None) -> list[Any]:
        spellings = listed or []
        drawn = draw_plan(runtime, spellings, token.token if token else None)
        return [drawn, reference_choice(spellings, reference or FIRST)]

    setup.buttons["add_picked"].click(add, [setup.variants, *picker.asked], [setup.variants, status], **AT_ONCE)
    for name, (make, lacking) in PRESETS.items():
        setup.buttons[f"preset_{name}"].click(fill(make, lacking), picker.asked, [setup.variants, status], **AT_ONCE)
    setup.variants.change(follow_list, [setup.variants, setup.reference], [setup.plan, setup.reference], **AT_ONCE)


def reference_choice(spellings: Sequence[str], reference: str) -> gr.Dropdown:
    """The listed variants as references; one that left the list is so no more."""
    choices = [("the first", FIRST), *((spelling, spelling) for spelling in spellings)]
    return gr.Dropdown(choices=choices, value=reference if reference in spellings else FIRST)


def draw_plan(runtime: Runtime, spellings: Sequence[str], token: str | None = None) -> str:
    """What the listed variants will take, and a sentence for each that cannot be planned."""
    try:
        found = sift(spellings, runtime.settings.compared)
    except PaddockError as error:
        return render.error(error)
    plans, failures = [], [*found.left_out.values()]
    for variant in found.variants:
        try:
            plans.append(runtime.plan(variant, token=token).to_dict())
        except PaddockError as error:
            failures.append(error)
    drawn = render_compare.plan_lines(plans, plans[0]["limit"] if plans else 0)
    return drawn + "".join(map(render.error, failures))


# --- lists that are ready made ------------------------------------------------------------------------------


def _sizes(runtime: Runtime, picked: Variant) -> list[str]:
    return compare_presets.sizes(runtime.models(), picked.model, runtime.settings.compared)


def _modes(runtime: Runtime, picked: Variant) -> list[str]:
    plans = runtime.describe(runtime.card(picked))["plans"]
    return compare_presets.modes(picked.model, plans, runtime.settings.compared)


def _adapters(runtime: Runtime, picked: Variant) -> list[str]:
    names = [entry["key"] for entry in runtime.adapters(picked)]
    if not names:
        return []
    described = runtime.describe(runtime.card(picked), (AdapterChoice(names[0]),))
    mode = picked.quantization if picked.quantization in described["modes"] else described["auto"]
    base = picked.without_adapters.resolved(mode or AUTO)  # the same for all, so that it is loaded once
    return compare_presets.with_adapters(base, names, runtime.settings.compared)


def _kinds(runtime: Runtime, picked: Variant) -> list[str]:
    return compare_presets.base_and_chat(runtime.models(), picked.model)


PRESETS: dict[str, tuple[Callable[[Any, Variant], list[str]], str]] = {
    "modes": (_modes, "runs in one mode only here"),
    "sizes": (_sizes, "has no second size that fits here"),
    "adapters": (_adapters, "has no adapters that are listed here"),
    "kinds": (_kinds, "has no counterpart: one is a base model, the other its chat model"),
}


# --- what is asked ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A comparison that can begin; `left_out` says why other variants of the list are not in it.

    `follows_other` says that the list names others than the conversations that go on.
    """

    request: CompareRequest
    left_out: tuple[PaddockError, ...] = ()
    follows_other: bool = False


def read_asked(runtime: Runtime, values: Sequence[Any], earlier: Comparison | None = None) -> Asked:
    """What the values of `CompareSetup.inputs` and the sampling controls ask for; raises PaddockError.

    After an `earlier` comparison, its variants are asked the next question, each in its own conversation.
    """
    spellings, prompt, system, *parts, reference, greedy, one_pass, tokens, quality, text = values[:ASKED]
    listed = [column.variant for column in earlier.columns] if earlier else spellings or []
    found = (check_variants if earlier else contenders)(listed, runtime.settings.compared)
    variants = found.variants
    against = _reference(reference, variants, earlier)
    if quality and not (text or "").strip():
        raise BadComparisonRequest(reason="the text that quality is measured on is empty")
    request = CompareRequest.of(
        variants,
        prompt or "",
        system or "",
        sampling=_sampling(values[ASKED:], bool(greedy)),
        base_prompt=BasePrompt(*parts),
        reference=against,
        text=text if quality else "",
        one_pass=bool(one_pass),
        rivals=RIVALS if tokens else 0,
    )
    asked = ChatRequest(variants[0], request.histories[0], request.sampling, request.base_prompt)
    runtime.check(asked)
    if earlier:
        request = replace(request, histories=compare_state.histories(earlier, prompt))
        for messages in request.histories:
            runtime.check(replace(asked, messages=messages))
        listed_now = sift(spellings or [], runtime.settings.compared).variants
        return Asked(request, follows_other=set(map(acts_as, listed_now)) != set(map(acts_as, variants)))
    return Asked(request, tuple(found.left_out.values()))


def _reference(spelling: str | None, variants: Sequence[Variant], earlier: Comparison | None) -> Variant:
    """What the others are held against, and nothing in its place; a follow-up keeps its own. Raises NoReference."""
    listed = {str(variant): variant for variant in variants}
    if earlier and spelling not in listed:
        return listed.get(earlier.reference, variants[0])
    if spelling and spelling not in listed:
        raise NoReference(variant=spelling)
    return listed[spelling] if spelling else variants[0]


def _sampling(values: Sequence[Any], greedy: bool) -> Sampling:
    """Greedy, or as the sidebar says, with one seed for all."""
    sampling = read_sampling(list(values))
    if greedy:
        return replace(sampling, temperature=0)
    return sampling if sampling.seed is not None else replace(sampling, seed=random.randint(0, SEED_MAX))
