"""Of what a variant's files are made, where its model is a folder that was trained on this machine."""

from __future__ import annotations

from dataclasses import replace

from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.files import read_json
from ..training.made import Made, made_of, read_made
from ..weights.adapters.places import REPORT

LOCAL = "local/"  # begins the names of folders on this machine, which nobody else can look up


def origin(runtime: Runtime, variant: Variant, quantization: str) -> Made:
    """The note for a variant's files: those of a trained folder are made of what that was trained from, or of nothing.

    With adapters it is the folder that they are made of. Raises what `Runtime.card` does.
    """
    made = made_of(runtime, variant, quantization)
    folder = runtime.settings.local_folder(made.base)
    if folder is None or variant.adapters:
        return made
    before, training = read_made(folder), read_json(folder / REPORT)
    if before:
        return replace(
            made,
            base=before.base,
            licence=before.licence,
            revision=before.revision,
            adapters=before.adapters,
            training=training or before.training,
        )
    if training:
        return replace(made, base=str(training.get("base") or ""), revision=None, training=training)
    return made
