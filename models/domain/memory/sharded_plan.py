"""What each of several processes takes in memory when they train one model in parts (FSDP2)."""

from __future__ import annotations

from dataclasses import replace

from ..shapes.shape import Shape
from ..training import TrainingSettings
from .plan import WEIGHTS, LoadPlan, Part
from .training_plan import VALUE_BYTES, step_parts

WHOLE = ("constants", "framework", "tokenizer")  # of a plan: what every process has of its own
GATHERED_LAYERS = 2  # the one that computes, and the next


def sharded_parts(
    planned: LoadPlan,
    shape: Shape,
    settings: TrainingSettings,
    longest: int,
    widened: int,
    processes: int,
    copies: int = 1,
    checkpointed: bool = False,
) -> tuple[Part, ...]:
    """Memory of one of so many processes, from the plan of the base as it is loaded; `checkpointed` as in step_parts.

    `widened` are the bytes by which what is not quantized grows for training. There are `copies` of the base, each held
    by an equal share of the processes. One holds its part of the weights, of what is trained and of Adam's means,
    computes its rows of a batch, and gathers two layers at a time; the embeddings are gathered too, for the whole step
    where they are also the head.
    """
    held, holders = {part.key: part.bytes for part in planned.parts}, processes // copies
    shared = widened + sum(held.get(key, 0) for key in WEIGHTS if key not in WHOLE)
    ends = widened + held.get("embeddings", 0) + held.get("head", 0)
    layers = max(0, shared - ends) / max(1, len(shape.layers))
    table = ends if shape.tied_embeddings else ends / 2
    value_bytes = 2 if settings.quantization == "bf16" else 4
    rows = replace(settings, batch=rows_each(settings.batch, processes))
    steps = {part.key: part for part in step_parts(shape, rows, longest, value_bytes, checkpointed)}
    gathered = 2 if settings.method == "full" else 1  # the gradients of what is gathered are whole, too
    steps["optimizer"] = replace(steps["optimizer"], bytes=steps["optimizer"].bytes // holders)
    return (
        Part("base", f"1/{holders} of the base", shared // holders),
        Part("own", "libraries and tables", sum(held.get(key, 0) for key in WHOLE)),
        Part("gathered", "layers gathered", round(GATHERED_LAYERS * layers + table) * gathered if holders > 1 else 0),
        *steps.values(),
    )


def loading_bytes(shape: Shape, settings: TrainingSettings, whole: int, beside: int) -> int:
    """Main memory that the processes of one machine take at their peak, of which `beside` each other read the base.

    Each holds the whole base until it is shared out. Where all weights learn, the first gathers those and both of
    Adam's means for a checkpoint.
    """
    gathered = 3 * VALUE_BYTES * shape.parameters if settings.method == "full" else 0
    return max(whole * beside, gathered)


def rows_each(batch: int, processes: int) -> int:
    """The most rows of a batch that one process computes."""
    return -(-batch // processes)
