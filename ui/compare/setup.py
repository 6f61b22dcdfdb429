"""The upper part of the Compare tab: which variants, asked what, with which options, and what they will take."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import BadComparisonRequest, NoReference, PaddockError
from models.domain.messages import SEED_MAX, Sampling
from models.domain.request import REFERENCE_TEXT, BasePrompt, ChatRequest, CompareRequest, read_prompts
from models.domain.results.comparison import Comparison
from models.domain.results.contenders import acts_as, check_variants, contenders, select_variants
from models.domain.results.suggestion import TOLERANCE
from models.domain.variant import Variant
from models.studies.compare import RUNS

from ..picker.picker import Picker
from ..shared import render
from ..shared.events import AT_ONCE, Values, named, own_token
from ..shared.sampling import draw_base_prompt
from ..shared.text import t
from ..shared.url import PageState
from . import state as compare_state
from .plan import plan_lines
from .presets import PRESETS
from .several import Several, draw_several, wire_several

if TYPE_CHECKING:
    from models.runtime import Runtime

FIRST = ""  # as the reference: the first of the list, whichever that is


@dataclass(frozen=True)
class CompareSetup:
    """What the visitor sets before a run."""

    left: gr.Column
    several_prompts: Several
    variants: gr.Dropdown
    buttons: dict[str, gr.Button]
    prompt: gr.Textbox
    plan: gr.HTML
    system: gr.Textbox
    base_prompt: dict[str, Component]
    blind: gr.Checkbox
    greedy: gr.Checkbox
    one_pass: gr.Checkbox
    tokens: gr.Checkbox
    reference: gr.Dropdown
    quality: gr.Checkbox
    text: gr.Textbox
    distance: gr.Slider

    @property
    def several(self) -> gr.Checkbox:
        return self.several_prompts.checked

    @property
    def fields(self) -> dict[str, Component]:
        """The components by the fields of SetupValues."""
        own = {name: getattr(self, name) for name in SetupValues.__dataclass_fields__ if name != "parts"}
        return own | self.base_prompt

    def read(self, values: Values) -> SetupValues:
        """What the components show."""
        shown = named(self.fields, values)
        parts = BasePrompt(**{name: shown.pop(name) for name in self.base_prompt})
        return SetupValues(**shown, parts=parts)

    # --- of a link

    @property
    def linked(self) -> list[Component]:
        return [self.variants, self.reference, self.system, self.prompt]

    def open(self, state: PageState) -> list[Any]:
        """Values for `linked`."""
        spellings = [str(variant) for variant in state.variants]
        listed = (
            [spellings, reference_choice(spellings, str(state.reference or FIRST))] if spellings else [gr.skip()] * 2
        )
        return [*listed, state.system or gr.skip(), state.prompt or gr.skip()]

    def state(self, values: Values) -> dict[str, Any]:
        """Fields of a PageState; raises VariantError."""
        reference = values[self.reference]
        return {
            "variants": tuple(map(Variant.parse, values[self.variants] or [])),
            "reference": Variant.parse(reference) if reference else None,
            "system": values[self.system] or "",
            "prompt": values[self.prompt] or "",
        }


@dataclass(frozen=True)
class SetupValues:
    """What the setup shows."""

    variants: Sequence[str] | None
    prompt: str | None
    system: str | None = ""
    parts: BasePrompt = field(default_factory=BasePrompt)
    reference: str | None = FIRST
    greedy: bool = True
    one_pass: bool = False
    tokens: bool = False
    quality: bool = True
    text: str | None = REFERENCE_TEXT
    several: bool = False


RIVALS = 5  # of each token, in the token view


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
            several = draw_several()
        with gr.Column(scale=2, min_width=300):
            plan = gr.HTML(elem_id="compare-plan", elem_classes="flush")
            with gr.Accordion(t("system"), open=False, elem_id="compare-system-group"):
                system = gr.Textbox(
                    show_label=False, placeholder=t("system_placeholder"), lines=2, elem_id="compare-system"
                )
            with gr.Accordion(t("base_prompt"), open=False, elem_id="compare-base-group"):
                base_prompt = draw_base_prompt("compare-")
            options = _draw_options()
    return CompareSetup(left, several, variants, buttons, prompt, plan, system, base_prompt, *options)


def _draw_list(runtime: Runtime) -> gr.Dropdown:
    fitting = [m.key for m in runtime.models() if m.fits]
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
        blind, greedy, one_pass = check("blind", False), check("greedy", True), check("one_pass", False)
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
    wire_several(setup.several_prompts, setup.prompt, status)

    def add(values: Values) -> list[Any]:
        listed = values[setup.variants]
        try:
            spelling = str(picker.read(values).variant)
        except PaddockError as error:
            return [gr.skip(), render.error(error)]
        if spelling in (listed or []):
            return [gr.skip(), render.said(f"{spelling} is in the list already.")]
        return [[*(listed or []), spelling], ""]

    def fill(make: Callable[[Runtime, Variant], list[str]], lacking: str) -> Callable[..., list[Any]]:
        def filled(values: Values) -> list[Any]:
            try:
                picked = picker.read(values).variant
                found = make(runtime, picked)
            except PaddockError as error:
                return [gr.skip(), render.error(error)]
            if len(found) < 2:
                return [gr.skip(), render.said(f"{picked.model} {lacking}.")]
            return [found, ""]

        return filled

    def follow_list(token: gr.OAuthToken | None, listed: list[str] | None, reference: str | None) -> list[Any]:
        spellings = listed or []
        drawn = draw_plan(runtime, spellings, own_token(token))
        return [drawn, reference_choice(spellings, reference or FIRST)]

    setup.buttons["add_picked"].click(add, {setup.variants, *picker.asked}, [setup.variants, status], **AT_ONCE)
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
        found = select_variants(spellings, runtime.settings.compared)
    except PaddockError as error:
        return render.error(error)
    plans, failures = [], [*found.left_out.values()]
    for variant in found.variants:
        try:
            plans.append(runtime.plan(variant, token=token).to_dict())
        except PaddockError as error:
            failures.append(error)
    drawn = plan_lines(plans, plans[0]["limit"] if plans else 0)
    return drawn + "".join(map(render.error, failures))


# --- what is asked ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """A comparison that can begin; `left_out` says why other variants of the list are not in it.

    `follows_other` says that the list names others than the conversations that go on.
    """

    request: CompareRequest
    left_out: tuple[PaddockError, ...] = ()
    follows_other: bool = False


def prepare(runtime: Runtime, shown: SetupValues, sampling: Sampling, earlier: Comparison | None = None) -> Prepared:
    """What the setup and the sampling controls ask for; raises PaddockError.

    After an `earlier` comparison, its variants are asked the next question, each in its own conversation.
    """
    listed = [column.variant for column in earlier.columns] if earlier else shown.variants or []
    found = (check_variants if earlier else contenders)(listed, runtime.settings.compared)
    variants, prompt, text = found.variants, shown.prompt or "", shown.text or ""
    against = _reference(shown.reference, variants, earlier)
    if earlier and earlier.independent:
        raise BadComparisonRequest(reason="several prompts were asked for themselves, which is no conversation")
    if shown.quality and not text.strip():
        raise BadComparisonRequest(reason="the text that quality is measured on is empty")
    request = CompareRequest.of(
        variants,
        read_prompts(prompt) if shown.several and not earlier else prompt,
        shown.system or "",
        sampling=_sampling(sampling, bool(shown.greedy)),
        base_prompt=shown.parts,
        reference=against,
        text=text if shown.quality else "",
        one_pass=bool(shown.one_pass),
        rivals=RIVALS if shown.tokens else 0,
        runs=RUNS if shown.quality else 1,
    )
    asked = ChatRequest(variants[0], request.histories[0], request.sampling, request.base_prompt)
    runtime.check(asked)
    if earlier:
        request = replace(request, histories=compare_state.histories(earlier, prompt))
        for messages in request.histories:
            runtime.check(replace(asked, messages=messages))
        listed_now = select_variants(shown.variants or [], runtime.settings.compared).variants
        return Prepared(request, follows_other=set(map(acts_as, listed_now)) != set(map(acts_as, variants)))
    return Prepared(request, tuple(found.left_out.values()))


def _reference(spelling: str | None, variants: Sequence[Variant], earlier: Comparison | None) -> Variant:
    """What the others are held against, and nothing in its place; a follow-up keeps its own. Raises NoReference."""
    listed = {str(variant): variant for variant in variants}
    if earlier and spelling not in listed:
        return listed.get(earlier.reference, variants[0])
    if spelling and spelling not in listed:
        raise NoReference(variant=spelling)
    return listed[spelling] if spelling else variants[0]


def _sampling(sampling: Sampling, greedy: bool) -> Sampling:
    """Greedy, or as the sidebar says, with one seed for all."""
    if greedy:
        return replace(sampling, temperature=0)
    return sampling if sampling.seed is not None else replace(sampling, seed=random.randint(0, SEED_MAX))
