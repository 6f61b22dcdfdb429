"""A model over several processes, each with a part of every matrix: which models, and what a process takes."""

from __future__ import annotations

from dataclasses import replace

from ..shapes.shape import Shape
from .plan import LoadPlan

MODES = ("fp32", "bf16", "fp16")  # plain values; packed ones are computed in one process
_ATTENTION = ("full attention", "sliding attention")
_SPLIT = ("linear", "kv")  # of a plan, beside an untied head; every process has the rest whole


def why_whole(shape: Shape, mode: str, processes: int) -> str:
    """Why a model cannot be split among so many processes; empty when it can.

    Each process computes some of the heads of attention, with their own keys and values.
    """
    if mode not in MODES:
        return f"{mode} is computed in one process, unlike {', '.join(MODES)}"
    rows = {name: outputs for name, outputs, _ in shape.linears}
    kinds = {layer.kind for layer in shape.layers}
    if not {"q_proj", "k_proj", "v_proj", "o_proj"} <= rows.keys() or not kinds <= set(_ATTENTION) or shape.experts[0]:
        return "only layers of attention with feed-forwards of one expert are split"
    size = rows["q_proj"] // shape.heads
    for heads, what in ((shape.heads, "heads of attention"), (rows["k_proj"] // size, "heads of keys and values")):
        if heads % processes:
            return f"its {heads} {what} cannot be shared evenly by {processes} processes"
    return ""


def counts(shape: Shape, mode: str) -> list[int]:
    """Numbers of processes, 2 to 64, that a model can be split among."""
    return [number for number in range(2, 65) if not why_whole(shape, mode, number)]


def split(planned: LoadPlan, shape: Shape, processes: int, beside: int) -> LoadPlan:
    """The plan of one of so many processes, `beside` of which share the memory that it is weighed against."""
    if not planned.is_local:
        return planned
    keys = _SPLIT if shape.tied_embeddings else (*_SPLIT, "head")
    parts = tuple(
        replace(part, bytes=-(-part.bytes // processes)) if part.key in keys else part for part in planned.parts
    )
    saved = planned.total - sum(part.bytes for part in parts)
    budget = planned.budget
    return replace(
        planned,
        parts=parts,
        loading=max(0, planned.loading - saved),
        budget=replace(budget, total=budget.total // beside, free=budget.free // beside),
        notes=(*planned.notes, f"a part of each matrix in each of {processes} processes; the plan is that of one"),
    )
