"""What a variant costs and is worth, as figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ..checked_json import Bytes, Count, Note, Seconds, Share, Speed, Spelling

TIMED_TOKENS = 64  # a decode speed from fewer is an estimate

Quality = Annotated[float, Field(ge=0, le=1e30)]
Divergence = Annotated[float, Field(ge=-1, le=1e6)]  # a little below 0 where a sum was rounded


@dataclass(frozen=True)
class Measured:
    """One variant measured: bytes, seconds, tokens a second, nats a token; None where there is no figure.

    `parts_at` counts the tokens of the reference's greedy answer before this one's would differ, of `answer_tokens`;
    None is never. `note` says what was done otherwise, `error` why there are no figures. Decoding was timed over
    `timed_tokens` tokens; of several `timed_runs`, the speed is the median and `decode_low` to `decode_high` the range.
    With `divergence_at_least` the divergence is a lower bound. How each is shown stands in `figures.FIGURES`.
    """

    variant: Spelling
    reference: bool = False
    predicted_bytes: Bytes | None = None
    measured_bytes: Bytes | None = None
    peak_bytes: Bytes | None = None
    load_s: Seconds | None = None
    ttft_s: Seconds | None = None
    decode_tokens_per_s: Speed | None = None
    perplexity: Quality | None = None
    bits_per_byte: Quality | None = None
    agreement: Share | None = None
    divergence: Divergence | None = None
    parts_at: Count | None = None
    answer_tokens: Count = 0
    answer: str = ""  # of older files: an answer stands in its column
    note: Note = ""
    error: Note = ""
    decode_low: Speed | None = None
    decode_high: Speed | None = None
    timed_tokens: Count | None = None
    timed_runs: Count = 1
    divergence_at_least: bool = False

    @property
    def memory(self) -> int:
        """Bytes of the weights as they were loaded, or as planned; 0 where neither is known."""
        return self.measured_bytes or self.predicted_bytes or 0

    @property
    def measured_speed(self) -> float:
        """Tokens a second, 0 where they are not known or come from too few tokens to be compared."""
        enough = self.timed_tokens is None or self.timed_tokens >= TIMED_TOKENS
        return self.decode_tokens_per_s or 0 if enough else 0
