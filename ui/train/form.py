"""What a training asks for: the rows, a name, and how it is trained, with a box for each setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from models.domain.errors import BadTrainingData
from models.domain.training import RANGES, TRAINABLE_MODES, TrainingSettings
from models.domain.variant import AUTO, Variant
from models.training.runs.asked import Asked, ask, read_columns

from ..shared.events import Fields, Values, named
from ..shared.text import EN, t

ENDINGS = [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md"]
IN_A_ROW = 3


@dataclass(frozen=True)
class Form:
    """Its components; `settings` by the fields of TrainingSettings."""

    file: gr.File
    path: gr.Textbox
    name: gr.Textbox
    columns: gr.Textbox
    look: gr.Button
    start: gr.Button
    settings: Fields

    @property
    def inputs(self) -> set[Any]:
        """What `read` reads."""
        return {self.file, self.path, self.name, self.columns, *self.settings.values()}

    def read(self, values: Values, base: Variant) -> Asked:
        """What it shows, for a base; raises NothingNamed, BadTrainingData, TrainingSettingOutOfBounds."""
        uploaded, path = values[self.file], str(values[self.path] or "").strip()
        if uploaded and path:
            raise BadTrainingData(file=path[:80], reason="a file is uploaded too; take one of them away")
        columns = read_columns(str(values[self.columns] or ""))
        return ask(values[self.name], base, uploaded or path, named(self.settings, values), columns)


def draw_form() -> Form:
    """Draw it."""
    with gr.Column(elem_classes="train-form"):
        file = gr.File(label=t("train_data"), file_types=ENDINGS, height=150, elem_id="train-file")
        with gr.Row():
            path = gr.Textbox(label=t("train_path"), placeholder="~/rows.jsonl", max_lines=1, elem_id="train-path")
            name = gr.Textbox(label=t("train_name"), placeholder="mine", max_lines=1, elem_id="train-name")
        with gr.Accordion(t("train_how"), open=False, elem_id="train-how"):
            settings = _draw_settings()
            columns = gr.Textbox(
                label=t("train_columns"),
                info=t("train_columns_info"),
                placeholder="Frage=question, Antwort=answer",
                max_lines=1,
                elem_id="train-columns",
            )
        with gr.Row(elem_classes="train-go"):
            start = gr.Button(t("train_start"), variant="primary", scale=0, elem_id="train-start")
            look = gr.Button(t("train_look"), scale=0, elem_id="train-look")
    return Form(file, path, name, columns, look, start, settings)


def _draw_settings() -> Mapping[str, Any]:
    usual = TrainingSettings()
    boxes: dict[str, Any] = {}
    numbers = [name for name in RANGES if f"train_{name}" in EN]
    for at in range(0, len(numbers), IN_A_ROW):
        with gr.Row():
            for name in numbers[at : at + IN_A_ROW]:
                boxes[name] = gr.Number(
                    getattr(usual, name),
                    label=t(f"train_{name}"),
                    info=t(f"train_{name}_info"),
                    elem_id=f"train-{name.replace('_', '-')}",
                    min_width=140,
                )
    with gr.Row():
        modes = [AUTO, *TRAINABLE_MODES]
        boxes["quantization"] = gr.Dropdown(
            modes,
            value=AUTO,
            label=t("train_quantization"),
            info=t("train_quantization_info"),
            elem_id="train-quantization",
            min_width=140,
        )
        boxes["targets"] = gr.Textbox(
            ", ".join(usual.targets),
            label=t("train_targets"),
            info=t("train_targets_info"),
            max_lines=1,
            scale=2,
            elem_id="train-targets",
        )
    return boxes
