"""How a model is finetuned, checked at birth, and what is said of it afterwards: plain data for training.json."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .errors import TrainingSettingOutOfBounds
from .lora import ALPHA_MAX, RANK_MAX, TARGETS_MAX
from .messages import SEED_MAX, bounded, bounds_of

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# A base's weights stay as they are, and gradients pass through them: what is made for inference only is not here.
TRAINABLE_MODES = ("fp32", "bf16", "int8", "nf4", "nf4-single", "fp4", "fp4-single")
# How a model learns, with the learning rate that suits each: an adapter beside its weights, or its weights themselves.
METHODS = {"lora": 2e-4, "full": 2e-5}
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class TrainingSettings:
    """What decides what is learned, beside the base and the data; raises TrainingSettingOutOfBounds.

    `batch` rows are computed at once and `accumulate` such batches make a step; the first `rows` are read (0: all of a
    file), and `held_out` is the share of them that is only looked at; `quantization` is the base's mode. With a
    `patience`, training ends when the held-out loss was no better for so many epochs, and the best is kept; 0 trains
    all epochs and keeps the last.
    """

    method: str = "lora"
    rank: int = bounded(8, 1, RANK_MAX)
    alpha: float = bounded(16.0, 0.01, ALPHA_MAX)
    epochs: int = bounded(3, 1, 1000)
    patience: int = bounded(0, 0, 1000)
    learning_rate: float = bounded(2e-4, 1e-7, 1)
    batch: int = bounded(8, 1, 1024)
    accumulate: int = bounded(1, 1, 1024)
    max_tokens: int = bounded(512, 8, 131_072)
    rows: int = bounded(0, 0, 10_000_000)
    held_out: float = bounded(0.1, 0.001, 0.5)
    targets: tuple[str, ...] = LINEARS
    seed: int = bounded(0, 0, SEED_MAX)
    quantization: str = "auto"

    def __post_init__(self) -> None:
        for name, bounds in RANGES.items():
            object.__setattr__(self, name, bounds.checked(name, getattr(self, name), TrainingSettingOutOfBounds))
        good = isinstance(self.targets, tuple) and 1 <= len(self.targets) <= TARGETS_MAX
        if not good or not all(isinstance(name, str) and _MODULE.fullmatch(name) for name in self.targets):
            raise TrainingSettingOutOfBounds(
                name="targets",
                value=",".join(map(str, self.targets))[:60],
                wanted=f"1 to {TARGETS_MAX} names of linear layers, like q_proj",
            )
        object.__setattr__(self, "targets", tuple(sorted(set(self.targets))))
        if self.rows == 1:
            wanted = "at least 2, one of which is held out, or 0 for all"
            raise TrainingSettingOutOfBounds(name="rows", value=1, wanted=wanted)
        if self.method not in METHODS:
            wanted = " or ".join(METHODS)
            raise TrainingSettingOutOfBounds(name="method", value=str(self.method)[:60], wanted=wanted)


RANGES = bounds_of(TrainingSettings)


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows: `cut` ones are used without their end, `left_out` ones had no answer left."""

    train: int
    held_out: int
    cut: int = 0
    left_out: int = 0

    def sentence(self, max_tokens: int) -> str:
        """The same in words."""
        said = f"{self.train:,} rows to learn from, {self.held_out:,} held out"
        if self.cut:
            said += f"; {self.cut:,} of them cut at {max_tokens:,} tokens"
        if self.left_out:
            said += f"; {self.left_out:,} more left out, because their answers begin only after {max_tokens:,} tokens"
        return said


@dataclass(frozen=True)
class EpochLoss:
    """Mean losses in nats a token: while learning in an epoch, and on the held-out rows after it.

    `epoch` counts from 1, and is no whole number where the training was ended in the middle of one.
    """

    epoch: float
    train: float
    held_out: float


@dataclass(frozen=True)
class TrainingReport:
    """What training.json says; losses in nats a token of the answers, `after` with the matrices as they are stored."""

    base: str
    base_revision: str | None
    data: str
    data_sha256: str
    rows: RowCounts
    settings: TrainingSettings
    before: float
    after: float
    epochs: tuple[EpochLoss, ...]
    trained_parameters: int
    seconds: float  # of this run; a run that was interrupted had more
    resumed: bool
    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    on: tuple[str, ...] = ()  # adapters of the base that acted, as a variant spells them; it is of use with them only
    columns: Mapping[str, str] = field(default_factory=dict)  # that were renamed
    processes: int = 1  # that held the base and the steps in parts


def fingerprint(
    settings: TrainingSettings, base: str, weights: str, data_sha256: str, tokens_sha256: str, on: Sequence[str]
) -> dict[str, Any]:
    """What two runs must share so that the second goes on where the first stopped.

    The rows as tokens depend on the tokenizer, on the chat template and on how this program reads rows, too.
    """
    return {
        "base": base,
        "weights": weights,
        "on": list(on),
        "data": data_sha256,
        **asdict(settings),
        "targets": list(settings.targets),
        "tokens": tokens_sha256,
    }


_OTHERS = {
    "data": "data",
    "weights": "weights of the base",
    "on": "adapters below it",
    "tokens": "tokens of the same rows",
}


def difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first thing that differs between two fingerprints, in words; empty when they are the same."""
    for name in now:
        if earlier.get(name) != now[name]:
            if name in _OTHERS:
                return f"other {_OTHERS[name]}"
            return f"{name.replace('_', ' ')} {_shown(earlier.get(name))} instead of {_shown(now[name])}"
    return ""


def _shown(value: Any) -> str:
    return (",".join(map(str, value)) if isinstance(value, list) else str(value))[:80]


SETTING_NAMES = tuple(f.name for f in fields(TrainingSettings))
