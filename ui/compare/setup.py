"""The upper part of the Compare tab: candidates as chips, ways to add some, options, and the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError
from models.domain.memory.hardware import Hardware
from models.domain.request import REFERENCE_TEXT, BasePrompt
from models.domain.results.suggestion import TOLERANCE
from models.domain.variant import Variant

from ..picker.picker import Picker
from ..shared import render
from ..shared.events import (
    AT_ONCE,
    ONCE_OPEN,
    PRESS,
    PRESSED,
    Values,
    keep_drafts,
    named,
    own_token,
    pressed,
    raises,
    signal,
)
from ..shared.language import say
from ..shared.lenient import Dropdown, Slider
from ..shared.sampling import draw_base_prompt
from ..shared.text import t
from ..shared.url import CompareOptions, PageState, open_base_prompt, parameters
from .add import AddPanel, draw_add, wire_add
from .asked import FIRST, SetupValues
from .candidates import Candidate, Target, chips, extended, find_candidates, plan_sentences
from .presets import PRESETS, Preset, explicit, not_available, with_base
from .several import Several, draw_several, wire_several

if TYPE_CHECKING:
    from models.runtime import Runtime

UNDO = "undo"  # what a press says that brings the list back
# A press on a chip's button removes it and leaves the focus on the next one; Add opens the panel, wherever it stands.
CHIPS = """let next = -1;
element.addEventListener('click', (event) => {
  if (event.target.closest('.add-candidate')) {
    const head = document.querySelector('#compare-add > .label-wrap');
    if (head && !head.classList.contains('open')) head.click();
    head?.scrollIntoView({ block: 'center' });
    head?.focus();
    return;
  }
  const button = event.target.closest('[data-press]');
  if (!button) return;
  next = [...element.querySelectorAll('[data-press]')].indexOf(button);
  window.paddock.gone = button.dataset.press;
  trigger('click', { pressed: button.dataset.press });
});
watch('value', () => {
  const address = new URL(window.location), said = address.searchParams.get('variants');
  const listed = [...element.querySelectorAll('.candidate')].map((chip) => chip.dataset.variant).join();
  if (said !== null && listed && listed !== said) {  // a link's own list until it is changed
    address.searchParams.delete('variants'); address.searchParams.delete('reference');
    history.replaceState(null, '', address);
  }
  if (next < 0) return;
  const buttons = element.querySelectorAll('[data-press]');
  (buttons[Math.min(next, buttons.length - 1)] || element.querySelector('.add-candidate'))?.focus();
  next = -1;
});"""

WITHOUT_PRESSED = "(listed) => [(listed || []).filter((spelling) => String(spelling) !== window.paddock.gone)]"


@dataclass(frozen=True)
class CompareSetup:
    """What the visitor sets before a run; `variants` are the spellings of the candidates, which the browser keeps."""

    variants: gr.BrowserState
    chips: gr.HTML
    plan: gr.HTML
    note: gr.HTML  # what a button that changes the list has to say
    before: gr.State  # the list that a preset took the place of
    buttons: dict[str, gr.Button]
    add: AddPanel
    prompt: gr.Textbox
    several_prompts: Several
    system: gr.Textbox
    base_prompt: dict[str, Component]
    base_group: gr.Accordion
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

    # --- that a browser keeps

    @property
    def drafts(self) -> dict[str, Component]:
        """What is typed and set, by the names under which it is kept; the list of candidates keeps itself."""
        return {f"compare-{name}": box for name, box in self.fields.items()} | {
            "compare-blind": self.blind,
            "compare-distance": self.distance,
        }

    # --- of a link

    @property
    def linked(self) -> list[Component]:
        return [
            self.variants,
            self.reference,
            self.system,
            self.prompt,
            *self.options.values(),
            *self.base_prompt.values(),
        ]

    @property
    def options(self) -> dict[str, Component]:
        """The components by the fields of CompareOptions."""
        return {f.name: getattr(self, f.name) for f in fields(CompareOptions)}

    def open(self, state: PageState) -> list[Any]:
        """Values for `linked`."""
        spellings = [str(variant) for variant in state.variants]
        reference = str(state.reference or FIRST)
        choice = reference if reference in spellings else FIRST
        listed = [spellings, gr.Dropdown(choices=references(spellings), value=choice)] if spellings else [gr.skip()] * 2
        options: list[Any] = [gr.skip()] * len(self.options)
        if state.options:
            options = [getattr(state.options, name) for name in self.options]
        parts = open_base_prompt(state)
        return [*listed, state.system or gr.skip(), state.prompt or gr.skip(), *options, *parts]

    def state(self, values: Values) -> dict[str, Any]:
        """Fields of a PageState; raises VariantError."""
        reference = values[self.reference]
        return {
            "variants": tuple(map(Variant.parse, values[self.variants] or [])),
            "reference": Variant.parse(reference) if reference else None,
            "system": values[self.system] or "",
            "prompt": values[self.prompt] or "",
            "options": CompareOptions(**{name: values[box] for name, box in self.options.items()}),
            "base_prompt": BasePrompt(**named(self.base_prompt, values)),
        }


def kept_candidates() -> gr.BrowserState:
    """Where the list is kept; outside of any tab, since what is in one is read only once it is opened."""
    return gr.BrowserState([], storage_key="paddock-candidates", secret="paddock")


def draw_setup(variants: gr.BrowserState) -> CompareSetup:
    """From above: the chips, which stay in sight; lists that are ready made; Add and options, closed; the prompt."""
    drawn_chips = gr.HTML(chips([]), elem_id="candidates", elem_classes="flush", js_on_load=CHIPS)
    plan = gr.HTML(elem_id="compare-plan", elem_classes="flush")
    with gr.Row(elem_id="compare-presets"):
        names = ("add_current", *(f"preset_{name}" for name in PRESETS))
        buttons = {name: gr.Button(t(name), size="sm", elem_id=name.replace("_", "-")) for name in names}
    note = gr.HTML(elem_id="compare-note", elem_classes="flush", js_on_load=PRESS)
    with gr.Row(elem_id="compare-panels"):
        add = draw_add()
        with gr.Accordion(t("compare_options"), open=False, elem_id="compare-options"):
            system = gr.Textbox(
                label=t("system"), placeholder=t("system_placeholder"), lines=2, elem_id="compare-system"
            )
            with gr.Accordion(t("base_prompt"), open=False, visible=False, elem_id="compare-base-group") as base_group:
                base_prompt = draw_base_prompt("compare-")
            options = _draw_options()
    prompt = gr.Textbox(
        label=t("compare_prompt"),
        placeholder=t("compare_placeholder"),
        lines=2,
        max_lines=8,
        elem_id="compare-prompt",
    )
    several = draw_several()
    shown = [
        variants,
        drawn_chips,
        plan,
        note,
        gr.State([]),
        buttons,
        add,
        prompt,
        several,
        system,
        base_prompt,
        base_group,
    ]
    return CompareSetup(*shown, *options)


def _draw_options() -> tuple[Any, ...]:
    """In the order of the fields of CompareSetup."""

    def check(name: str, value: bool) -> gr.Checkbox:
        return gr.Checkbox(value, label=t(name), info=t(f"{name}_info"), elem_id=f"compare-{name.replace('_', '-')}")

    with gr.Row(elem_id="compare-checks"):
        blind, greedy, one_pass = check("blind", False), check("greedy", True), check("one_pass", False)
        tokens, quality = check("token_view", False), check("quality", True)
    with gr.Row():
        reference = Dropdown(
            [("the first", FIRST)],
            value=FIRST,
            label=t("reference"),
            info=t("compare_reference_info"),
            elem_id="compare-reference",
        )
        distance = Slider(
            1, 50, round(TOLERANCE * 100), step=1, label=t("distance"), info=t("distance_info"), elem_id="distance"
        )
    text = gr.Textbox(REFERENCE_TEXT, label=t("scored_text"), lines=3, max_lines=5, elem_id="compare-text")
    return blind, greedy, one_pass, tokens, reference, quality, text, distance


def target(picker: Picker, values: Values) -> Target:
    """What candidates are planned for; GB that are none are said where they were typed."""
    picked = picker.read(values)
    hardware: Hardware | None = None
    with suppress(PaddockError):
        hardware = picked.machine
    return Target(hardware, (picked.model or "").strip(), int(picked.context) if picked.context else None)


def wire_setup(app: gr.Blocks, runtime: Runtime, setup: CompareSetup, picker: Picker, picked: gr.HTML) -> None:
    """Let the buttons fill the list, and the chips, the plan and the references follow it and what is picked.

    `picked` is a signal: another variant was, and the tab shows it.
    """
    most = runtime.settings.compared
    wire_several(setup.several_prompts, setup.prompt, setup.note)
    keep_drafts(
        app, setup.drafts, {name: parameters(name.removeprefix("compare-")) for name in setup.drafts}, "compare"
    )

    def add_current(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        listed, theirs = values[setup.variants] or [], runtime.of_visitor(own_token(token, values[picker.token]))
        try:
            current = explicit(theirs, picker.read(values).variant, target(picker, values).hardware)
        except PaddockError as error:
            return [gr.skip(), render.error(error)]
        now, count, left = extended(listed, [current], most)
        if left:
            full = say("This server compares at most {most} at once: remove one first.", most=most)
            return [gr.skip(), render.said(full)]
        said = "" if count else render.said(say("{variant} is listed already.", variant=str(current)))
        return [now, said]

    def fill(make: Preset) -> Callable[..., list[Any]]:
        def filled(token: gr.OAuthToken | None, values: Values) -> list[Any]:
            listed, theirs = values[setup.variants] or [], runtime.of_visitor(own_token(token, values[picker.token]))
            try:
                made = make(theirs, picker.read(values).variant, target(picker, values).hardware)
            except PaddockError as error:
                return [gr.skip(), render.error(error), gr.skip()]
            if len(made.variants) < 2:
                return [gr.skip(), render.said(made.lacking), gr.skip()]
            now, _, left = extended([], made.variants, most)
            said = say("{left} more found no room: this server compares at most {most}.", left=left, most=most)
            return [now, _note(said if left else "", bool(listed) and listed != now), listed]

        return filled

    def fill_pressed(event: gr.EventData, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        return fill(preset_of[event.target])(token, values)

    def bring_back(event: gr.EventData, before: list[str]) -> list[Any]:
        return [before, ""] if pressed(event) == UNDO else [gr.skip()] * 2

    def follow_list(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        spellings, planned_for = values[setup.variants] or [], target(picker, values)
        theirs = runtime.of_visitor(own_token(token, values[picker.token]))
        try:
            found = find_candidates(theirs, spellings, planned_for)
        except PaddockError as error:
            return [chips([]), render.error(error), gr.skip(), gr.skip()]
        # A reference that is listed is left alone: the browser may just have brought it back.
        gone = (values[setup.reference] or FIRST) not in (FIRST, *spellings)
        reference = gr.Dropdown(choices=references(spellings), **({"value": FIRST} if gone else {}))
        base = gr.Accordion(visible=any(candidate.is_base for candidate in found))
        there = planned_for.hardware
        others = ""
        with suppress(PaddockError):  # said where it is planned
            others = not_available(theirs, [one.variant for one in found if one.variant], there)
        return [chips(found), plan_sentences(found, there) + others, reference, base]

    listed = {setup.variants, *picker.asked}
    filled = [setup.variants, setup.note, setup.before]
    for_base = picker.adapters.notes.click(fill(with_base), listed, filled, **AT_ONCE)
    for_base.then(None, None, None, js="() => window.paddock.openTab('compare')", api_visibility="private")
    setup.buttons["add_current"].click(add_current, listed, [setup.variants, setup.note], **AT_ONCE)
    preset_of: dict[Any, Preset] = {setup.buttons[f"preset_{name}"]: make for name, make in PRESETS.items()}
    gr.on([button.click for button in preset_of], fill_pressed, listed, filled, **PRESSED)
    setup.note.click(bring_back, setup.before, [setup.variants, setup.note], **PRESSED)
    # In the browser: two presses in a row would each ask the server about the same list.
    setup.chips.click(None, setup.variants, setup.variants, js=WITHOUT_PRESSED, api_visibility="private")
    changed = signal()
    raises(setup.variants.change, changed, ONCE_OPEN)
    for trigger in (picker.context.release, picked.change):
        raises(trigger, changed)
    followers = [setup.chips, setup.plan, setup.reference, setup.base_group]
    changed.change(follow_list, listed | {setup.reference}, followers, **AT_ONCE)
    wire_add(runtime, setup.add, setup.variants, picker, picked)


def planned(
    runtime: Runtime, setup: CompareSetup, picker: Picker, values: Values, token: str | None
) -> list[Candidate]:
    """The listed candidates as of now; raises BadComparisonRequest."""
    return find_candidates(runtime, values[setup.variants] or [], target(picker, values), token)


def _note(sentence: str, undo: bool) -> str:
    button = (
        f'<button type="button" class="small-button" data-press="{UNDO}">{say("Bring back the earlier list")}</button>'
    )
    parts = [render.said(sentence) if sentence else "", button if undo else ""]
    return f'<div class="compare-note">{"".join(parts)}</div>' if any(parts) else ""


def references(spellings: Sequence[str]) -> list[tuple[str, str]]:
    """Choices of the reference: the first of the list, whichever that is, or one of it."""
    return [(say("the first"), FIRST), *((spelling, spelling) for spelling in spellings)]
