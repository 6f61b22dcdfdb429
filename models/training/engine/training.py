"""What is trained on what, and what came of it: plain data of one finetuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...domain.load import ActiveAdapter, Snapshot
from ...domain.training import EpochLoss, TrainingSettings
from .examples import Examples

MARK = "paddock-training.json"  # in a checkpoint that was written to its end: what it was made with
FINISH = "finish"  # a file beside the checkpoints: end after this step, with what there is
BEST = "best.safetensors"  # beside the checkpoints, the trained values with the lowest held-out loss


@dataclass(frozen=True)
class Training:
    """What is trained on what; `checkpoints` is a folder of our own, `fingerprint` is written into each of them.

    `hub_id` names the base in the adapter's config; the adapters that it is trained `on` act on the base, and stay as
    they are. `resume` is the checkpoint to go on from, empty for none. With several `processes` this one leads the
    others, which have joined it; they hold so many `copies` of the base.
    """

    snapshot: Snapshot
    mode: str
    accelerator: str
    threads: int
    hub_id: str
    settings: TrainingSettings
    examples: Examples
    checkpoints: str
    fingerprint: dict[str, Any]
    on: tuple[ActiveAdapter, ...] = ()
    resume: str = ""
    processes: int = 1
    copies: int = 1
    leads: bool = True  # of several processes the first, which writes the files
    frugal: bool = False

    def beside(self, name: str) -> Path:
        """A file beside the checkpoints."""
        return Path(self.checkpoints) / name


@dataclass(frozen=True)
class Learned:
    """Losses in nats a token; `after` is that of the values as they were stored."""

    before: float
    after: float
    epochs: tuple[EpochLoss, ...]
    parameters: int
