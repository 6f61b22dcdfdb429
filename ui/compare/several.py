"""Several prompts at once: one a line of the prompt box, typed or read from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from models.domain.errors import NotUtf8, PaddockError
from models.domain.request import read_prompts
from models.system.encodings import decoded

from ..shared import render
from ..shared.events import IN_ORDER
from ..shared.text import t

LONGEST_FILE = 1_000_000  # bytes


@dataclass(frozen=True)
class Several:
    """Whether each line of the prompt is a prompt, and a file that fills it."""

    checked: gr.Checkbox
    file: gr.UploadButton


def draw_several() -> Several:
    """Draw them in a row under the prompt."""
    with gr.Row(elem_id="several-row"):
        checked = gr.Checkbox(
            False, label=t("several"), info=t("several_info"), container=False, elem_id="compare-several"
        )
        file = gr.UploadButton(
            t("prompts_file"), size="sm", scale=0, min_width=140, file_types=[".txt"], elem_id="compare-prompts-file"
        )
    return Several(checked, file)


def wire_several(several: Several, prompt: gr.Textbox, status: gr.HTML) -> None:
    """Let the file fill the prompt box, and say so where it cannot."""

    def fill(file: str | None) -> list[Any]:
        try:
            return ["\n".join(prompts_of(file)), True, ""]
        except PaddockError as error:
            return [gr.skip(), gr.skip(), render.error(error)]

    several.file.upload(fill, several.file, [prompt, several.checked, status], **IN_ORDER)


def prompts_of(file: str | None) -> tuple[str, ...]:
    """The prompts in an uploaded file, which is deleted; raises EmptyPrompt, BadComparisonRequest, NotUtf8."""
    path = Path(file or "")
    try:
        with path.open("rb") as opened:
            return read_prompts(decoded(opened.read(LONGEST_FILE), "The file"))
    except OSError:
        raise NotUtf8(name="The file") from None
    finally:
        if file:
            path.unlink(missing_ok=True)
