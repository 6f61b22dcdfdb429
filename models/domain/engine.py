"""What every engine can do; the two local ones and the remote one look the same from above."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .load import ActiveAdapter
from .messages import Delta, Message, Progress, Sampling, Scored, Thought
from .thinking import AS_IT_IS, Thinking, Thoughts


@dataclass(frozen=True)
class Prompt:
    """The exact text for a model.

    `rendered` says that a chat template wrote it: it spells its own start token, so none is added. `notes` say what
    of the visitor's words is not where they put it. With `thoughts`, what is written after it is split by them. With a
    `schema`, what is written is JSON that follows it.
    """

    text: str
    rendered: bool = False
    notes: tuple[str, ...] = ()
    thoughts: Thoughts | None = None
    schema: str = ""


@dataclass(frozen=True)
class Attached:
    """An adapter in memory beside the model; bytes of its matrices."""

    name: str
    bytes: int


Rows = Sequence[Sequence[ActiveAdapter]]


class Engine(Protocol):
    """One loaded model.

    `name` is the library that computes, `context` the tokens that prompt and answer may have together,
    `bytes` what its weights take, `resident` what closing it gives back, `attached` the adapters that it keeps for the
    next answer. One answer at a time unless `slots` says more.
    """

    name: str
    context: int
    slots: int
    bytes: int

    @property
    def resident(self) -> int: ...

    @property
    def attached(self) -> tuple[Attached, ...]: ...

    def render(self, messages: Sequence[Message], thinking: Thinking = AS_IT_IS) -> Prompt:
        """The prompt of a conversation by the model's own chat template; raises TemplateFailed."""

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float = float("inf"),
        rows: Rows = ((),),
        reuse: bool = True,
    ) -> Iterator[Delta | Thought]:
        """Deltas of an answer to the prompt for each row, a token or few each; a row's last has a finish reason.

        Before them thoughts, where the prompt says how they are told; the new tokens that a sampling allows are those
        of the answer.

        A row is the adapters that act on its answer and on no other; which ones did is read from the model into the
        usage. Several rows are computed as one batch. Without `reuse` the whole prompt is computed, whatever was kept
        of it. Closing the iterator stops the computation within one token.
        Raises ContextExceeded, AdapterRefused, OutOfMemory, EngineFailed.
        """

    def score(
        self,
        prompt: Prompt,
        record: str = "",
        reference: str = "",
        adapters: Sequence[ActiveAdapter] = (),
        rivals: int = 0,
    ) -> Iterator[Progress | Scored]:
        """How likely each token of a text is, as progress and then one Scored, with so many `rivals` of each.

        `record` is a file to write all log-probabilities to, `reference` one that another engine wrote for the same
        tokens, to be compared with. Where either has the likeliest tokens of a position only, `Scored.at_least` says
        that the divergences are lower bounds. Raises NotScorable, TextTooShort, ContextExceeded, OutOfMemory,
        EngineFailed.
        """

    def close(self) -> None:
        """Give the memory back; the engine is not used afterwards."""
