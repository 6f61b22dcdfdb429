"""How a model is pretrained: sizes, settings checked at birth, and what is said of a run; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .errors import TrainingSettingOutOfBounds, UnknownSize
from .messages import SEED_MAX, bounded, bounds_of

STORIES, TINY_STORIES, BPE = "stories", "tinystories", "bpe"
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Size:
    """Widths and depth of a decoder, and the rate and rows of a step that suit it; parameters beside the vocabulary."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    learning_rate: float
    batch: int = 16
    kind: Literal["llama", "feed-forward"] = "llama"


SIZES: Mapping[str, Size] = {
    "stories-tiny": Size(16, 48, 2, 2, 1, 1e-2, batch=4),  # to try the command: it learns a few words
    "stories-2m": Size(128, 352, 6, 4, 2, 3e-3, batch=8),
    "stories-15m": Size(384, 1024, 9, 6, 2, 1e-3, batch=16),
    "stories-42m": Size(512, 1376, 14, 8, 4, 6e-4, batch=32),
    "stories-110m": Size(768, 2048, 17, 12, 4, 4e-4, batch=64),
    "feed-forward": Size(128, 128, 1, 1, 1, 3e-3, batch=8, kind="feed-forward"),
}


@dataclass(frozen=True)
class PretrainingSettings:
    """What decides the model, beside the data; raises UnknownSize and TrainingSettingOutOfBounds.

    `documents` are read at the most, 0 for all (of the stories that are made here, and of TinyStories, DOCUMENTS);
    `tokenizer` is `bpe`, then of `vocabulary` tokens, or a model of the catalog; `tokens` 0 trains for `minutes`;
    `learning_rate` and `batch` 0 are those of the size; `max_tokens` is the longest row and the model's context.
    """

    size: str = "stories-2m"
    documents: int = bounded(0, 0, 10**9)
    tokenizer: str = BPE
    vocabulary: int = bounded(2048, 300, 200_000)
    tokens: int = bounded(0, 0, 10**13)
    minutes: float = bounded(5.0, 0.01, 100_000)
    batch: int = bounded(0, 0, 4096)
    learning_rate: float = bounded(0.0, 0, 1)
    max_tokens: int = bounded(512, 8, 131_072)
    held_out: float = bounded(0.02, 0.0001, 0.5)
    seed: int = bounded(0, 0, SEED_MAX)
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UnknownSize(size=self.size[:60], known=", ".join(SIZES))
        for name, bounds in RANGES.items():
            value = bounds.checked(name, getattr(self, name), TrainingSettingOutOfBounds)
            object.__setattr__(self, name, value)
        if self.precision not in PRECISIONS:
            wanted = f"one of {', '.join(PRECISIONS)}"
            raise TrainingSettingOutOfBounds(name="precision", value=self.precision[:40], wanted=wanted)

    @property
    def shape(self) -> Size:
        return SIZES[self.size]

    @property
    def rows(self) -> int:
        """Documents of a step."""
        return self.batch or self.shape.batch

    @property
    def rate(self) -> float:
        """The learning rate at its highest."""
        return self.learning_rate or self.shape.learning_rate


RANGES = bounds_of(PretrainingSettings)
DOCUMENTS = {STORIES: 20_000, TINY_STORIES: 200_000}


@dataclass(frozen=True)
class TokenCounts:
    """What became of the documents; `left_out` ones are longer than a row may be."""

    documents: int
    held_out: int
    tokens: int
    held_out_tokens: int
    left_out: int
    vocabulary: int

    def sentence(self, max_tokens: int) -> str:
        """The same in words."""
        said = f"{self.documents:,} documents of {self.tokens:,} tokens to learn from, {self.held_out:,} held out"
        if self.left_out:
            said += f"; {self.left_out:,} more left out, because they are longer than {max_tokens:,} tokens"
        return f"{said}; a vocabulary of {self.vocabulary:,}"


@dataclass(frozen=True)
class Loss:
    """A point of the curves: mean losses in nats a token, `train` since the point before (0 at the start)."""

    step: int
    tokens: int
    learning_rate: float
    train: float
    held_out: float


@dataclass(frozen=True)
class PretrainingReport:
    """What training.json says; losses in nats a token on the held-out documents, `after` on all of them."""

    size: str
    parameters: int
    data: str
    data_sha256: str
    counts: TokenCounts
    settings: PretrainingSettings
    precision: str
    steps: int
    tokens: int
    before: float
    after: float
    losses: tuple[Loss, ...]
    tokens_per_s: float  # of this run, held-out losses and samples not counted
    peak: float  # share of the matmul speed that was measured at the start
    peak_flops: float
    seconds: float  # of this run; one that was interrupted had more
    resumed: bool
    versions: Mapping[str, str]
    machine: Mapping[str, Any]


def fingerprint(settings: PretrainingSettings, data: str, data_sha256: str, tokens_sha256: str) -> dict[str, Any]:
    """What two runs must share so that the second goes on where the first stopped."""
    return {"data": data, "content": data_sha256, **asdict(settings), "row_tokens": tokens_sha256}


def difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first thing that differs between two fingerprints, in words; empty when they are the same."""
    others = {"content": "other data under the same name", "row_tokens": "other tokens of the same documents"}
    for name in now:
        if earlier.get(name) != now[name]:
            return others.get(name, f"{name.replace('_', ' ')} {earlier.get(name)} instead of {now[name]}")
    return ""
