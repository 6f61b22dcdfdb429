"""What a step of training takes in memory, part by part, and the batch that fits; nothing is loaded for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import DoesNotFit
from ..shapes.shape import Shape
from ..training import TrainingSettings
from ..units import size
from .plan import Part

# Tensors of these sizes that a layer keeps for the backward pass, as measured on a CPU (fp32).
KEPT_HIDDEN, KEPT_INTERMEDIATE, KEPT_LOGITS = 16, 6, 3
GAPS = 0.3  # that glibc leaves between the tensors of a step, as a share of what they take
VALUE_BYTES = 4  # of a trained value, in fp32; its gradient takes as much, and so does each of the two means of Adam


@dataclass(frozen=True)
class TrainingPlan:
    """Bytes of the base and of a step on the longest rows, against what `device` has free."""

    parts: tuple[Part, ...]
    free: int
    device: str

    @property
    def needed(self) -> int:
        """All parts together."""
        return sum(part.bytes for part in self.parts)

    @property
    def tight(self) -> bool:
        """Whether it fits only without gaps between the tensors."""
        return self.needed * (1 + GAPS) > self.free

    def too_large(self, what: str, suggestion: str) -> DoesNotFit:
        """The error that says so of what is planned."""
        return DoesNotFit(
            variant=what, needed=size(self.needed), device=self.device, free=size(self.free), suggestion=suggestion
        )

    def facts(self) -> dict[str, int]:
        """Bytes by part, all together, and free."""
        return {part.key: part.bytes for part in self.parts} | {"needed": self.needed, "free": self.free}

    def sentence(self) -> str:
        """The same in words."""
        parts = ", ".join(f"{part.label} {size(part.bytes)}" for part in self.parts)
        return f"memory: {parts}; {size(self.needed)} of the {size(self.free)} free on {self.device}"


def step_parts(
    shape: Shape, settings: TrainingSettings, longest: int, value_bytes: int, checkpointed: bool = False
) -> tuple[Part, ...]:
    """Memory of a step beside the base's weights, for rows of `longest` tokens; `value_bytes` of an activation.

    With activations `checkpointed` a layer keeps its input only, and one layer at a time is computed again.
    """
    tokens = settings.batch * longest
    count = trained_values(shape, settings)
    kept = 3 if settings.method == "full" else 4  # values that are the base's own are counted there
    what = "gradients and Adam" if settings.method == "full" else "adapter, gradients and Adam"
    each = [KEPT_HIDDEN * shape.hidden + KEPT_INTERMEDIATE * layer.intermediate for layer in shape.layers]
    widths = len(each) * shape.hidden + max(each) if checkpointed else sum(each)
    return (
        Part("activations", "activations", tokens * widths * value_bytes),
        Part("logits", "logits", tokens * KEPT_LOGITS * 4 * shape.vocabulary),
        Part("optimizer", what, count * kept * VALUE_BYTES),
    )


def trained_values(shape: Shape, settings: TrainingSettings) -> int:
    """How many values learn."""
    if settings.method == "full":
        return shape.parameters
    return sum(count * settings.rank * (rows + columns) for (_, rows, columns), count in shape.linears.items())


def disk_bytes(shape: Shape, settings: TrainingSettings) -> int:
    """What a run writes at the most: two checkpoints of values with both means, the best values, and what is stored."""
    values = trained_values(shape, settings)
    return values * VALUE_BYTES * (2 * 3 + 1) + values * 2


def smaller_batches(settings: TrainingSettings) -> Iterator[TrainingSettings]:
    """The same steps in smaller batches, the largest first."""
    rows = settings.batch * settings.accumulate
    for batch in range(settings.batch - 1, 0, -1):
        if rows % batch == 0:
            yield replace(settings, batch=batch, accumulate=rows // batch)
