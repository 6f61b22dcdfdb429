"""What a step of training takes in memory, part by part, and the batch that fits; nothing is loaded for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..shapes.shape import Shape
from ..training import TrainingSettings
from ..units import size
from .plan import Part

# Tensors of these sizes that a layer keeps for the backward pass, as measured on a CPU (fp32).
KEPT_HIDDEN, KEPT_INTERMEDIATE, KEPT_LOGITS = 16, 6, 3
ADAM_BYTES = 16  # a trained value, its gradient and the two means of Adam, in fp32


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

    def facts(self) -> dict[str, int]:
        """Bytes by part, all together, and free."""
        return {part.key: part.bytes for part in self.parts} | {"needed": self.needed, "free": self.free}

    def sentence(self) -> str:
        """The same in words."""
        parts = ", ".join(f"{part.label} {size(part.bytes)}" for part in self.parts)
        return f"memory: {parts}; {size(self.needed)} of the {size(self.free)} free on {self.device}"


def step_parts(shape: Shape, settings: TrainingSettings, longest: int, value_bytes: int) -> tuple[Part, ...]:
    """Memory of a step beside the base's weights, for rows of `longest` tokens; `value_bytes` of an activation."""
    tokens = settings.batch * longest
    widths = sum(KEPT_HIDDEN * shape.hidden + KEPT_INTERMEDIATE * layer.intermediate for layer in shape.layers)
    adapter = sum(count * settings.rank * (rows + columns) for (_, rows, columns), count in shape.linears.items())
    return (
        Part("activations", "activations", tokens * widths * value_bytes),
        Part("logits", "logits", tokens * KEPT_LOGITS * 4 * shape.vocabulary),
        Part("optimizer", "adapter, gradients and Adam", adapter * ADAM_BYTES),
    )


def smaller_batches(settings: TrainingSettings) -> Iterator[TrainingSettings]:
    """The same steps in smaller batches, the largest first."""
    rows = settings.batch * settings.accumulate
    for batch in range(settings.batch - 1, 0, -1):
        if rows % batch == 0:
            yield replace(settings, batch=batch, accumulate=rows // batch)
