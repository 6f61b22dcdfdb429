"""The sidebar's adapters: which of them, how strongly each, where more come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from models.domain.adapters import LONGEST_LABEL, FoundAdapter, ListedAdapter, short_name
from models.domain.errors import AdapterRefused
from models.domain.variant import ADAPTER_WEIGHT_BOUNDS, ADAPTERS_MAX, Variant

from ..shared.events import PRESS
from ..shared.language import say
from ..shared.lenient import Slider
from ..shared.text import t

if TYPE_CHECKING:
    from models.runtime import Runtime


STEP = 0.05
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class AdapterPicker:
    """A list of names, a slider for each of the first so many, and the two ways to find more."""

    names: gr.Dropdown
    strengths: list[gr.Slider]
    shown: gr.State  # the names that the sliders stand for
    notes: gr.HTML
    search: gr.Button | None
    label: gr.Textbox | None  # what the visitor calls their own
    files: gr.File | None
    refused: gr.HTML | None  # why the visitor's own was not taken, where they brought it

    @property
    def outputs(self) -> list[Component]:
        return [self.names, *self.strengths, self.shown, self.notes]


def draw_adapters(runtime: Runtime) -> AdapterPicker:
    """Draw them; the events belong to the picker that they are a part of."""
    low, high = ADAPTER_WEIGHT_BOUNDS
    names = gr.Dropdown(
        [],
        value=[],
        multiselect=True,
        max_choices=ADAPTERS_MAX,
        allow_custom_value=True,  # Hub ids and names of uploads; the server checks every name
        label=t("adapters"),
        info=t("adapters_info"),
        elem_id="adapters",
    )
    strengths = [
        Slider(low, high, value=1, step=STEP, visible=False, elem_id=f"strength-{n}", elem_classes="strength")
        for n in range(ADAPTERS_MAX)
    ]
    notes = gr.HTML(elem_id="adapter-notes", js_on_load=PRESS)
    search = label = files = refused = None
    if runtime.settings.hub_ids or runtime.settings.uploads:
        with gr.Accordion(t("more_adapters"), open=False, elem_id="more-adapters"):
            if runtime.settings.hub_ids:
                search = gr.Button(t("search_hub"), size="sm", elem_id="search-adapters")
            if runtime.settings.uploads:
                label = gr.Textbox(
                    label=t("upload_name"),
                    info=t("upload_name_info"),
                    max_lines=1,
                    max_length=LONGEST_LABEL,
                    elem_id="upload-name",
                )
                files = gr.File(
                    file_count="multiple",
                    file_types=[".json", ".safetensors"],
                    label=t("upload_adapter"),
                    height=110,
                    elem_id="upload-adapter",
                )
                refused = gr.HTML(elem_id="upload-refused", elem_classes="flush")
    return AdapterPicker(names, strengths, gr.State(()), notes, search, label, files, refused)


def follow_names(names: Sequence[str] | None, shown: Sequence[str], strengths: Sequence[float]) -> list[float]:
    """The strengths of the names that are picked now: each keeps its own when another one leaves."""
    known = dict(zip(shown, strengths, strict=False))
    return [known.get(name, 1.0) for name in names or []]


def adapter_values(
    runtime: Runtime,
    variant: Variant,
    warnings: Sequence[str],
    found: Sequence[FoundAdapter] = (),
    token: str | None = None,
) -> list[Any]:
    """Values for `AdapterPicker.outputs`; `found` are the Hub's that a search has brought."""
    listed = runtime.adapters(variant, token)
    titles = {entry.key: entry.title for entry in listed}
    titles |= {entry.hub_id: hub_line(entry) for entry in found}
    for adapter in variant.adapters:
        titles.setdefault(adapter.name, short_name(adapter.name))
    choices = [(title, name) for name, title in titles.items()]
    names = [adapter.name for adapter in variant.adapters]
    sliders: list[Any] = [
        gr.Slider(visible=True, value=adapter.weight, label=titles[adapter.name]) for adapter in variant.adapters
    ]
    hidden = [gr.Slider(visible=False, value=1) for _ in range(ADAPTERS_MAX - len(sliders))]
    notes = adapter_notes(variant, listed, warnings)
    return [gr.Dropdown(choices=choices, value=names), *sliders, *hidden, tuple(names), notes]


def pair_of(files: Sequence[str] | None) -> tuple[Path, Path]:
    """The config and the weights among uploaded files, such as a whole folder; raises AdapterRefused.

    Where there are several of an end, the one with the usual name is taken.
    """
    pair = []
    for name in (CONFIG, WEIGHTS):
        found = [path for path in map(Path, files or []) if path.suffix == Path(name).suffix]
        found = found if len(found) == 1 else [path for path in found if path.name == name]
        if len(found) != 1:
            raise AdapterRefused(adapter="upload", reason=f"it takes two files, {CONFIG} and {WEIGHTS}")
        pair += found
    return pair[0], pair[1]


def hub_line(adapter: FoundAdapter) -> str:
    """A line of a search: the Hub id, and how often it was fetched."""
    count = adapter.downloads
    many = f"{count / 1000:.0f}k" if count >= 10_000 else f"{count:,}"
    return say("{name} · {count} downloads", name=adapter.hub_id, count=many)


def adapter_notes(variant: Variant, listed: Sequence[ListedAdapter], warnings: Sequence[str]) -> str:
    """What the picked adapters do, as far as it is known, and why one may not belong to this base."""
    about = {entry.key: entry for entry in listed}
    lines = []
    for adapter in variant.adapters:
        if (entry := about.get(adapter.name)) and entry.summary:
            lines.append(f"<b>{escape(entry.title)}</b> {escape(say(entry.summary))}")
    drawn = "".join(f"<li>{line}</li>" for line in lines)
    drawn += "".join(f'<li class="warning">{escape(warning)}</li>' for warning in warnings)
    drawn = f'<ul class="quiet adapter-notes">{drawn}</ul>' if drawn else ""
    if variant.adapters:
        words = escape(say("Compare with its base"))
        drawn += f'<button type="button" class="small-button" data-press="with_base">{words}</button>'
    return drawn


def search_result(found: Sequence[FoundAdapter], model: str) -> str:
    """What a search brought, in a sentence."""
    sentence = say("No adapters registered for {model} were found, or the Hub is out of reach.", model=model)
    if found:
        sentence = say(
            "{count} adapters registered for {model} are in the list now, the most downloaded first.",
            count=len(found),
            model=model,
        )
    return f'<p class="quiet">{escape(sentence)}</p>'
