"""What a variant costs and is worth, as figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ..checked_json import Bytes, Count, Note, Seconds, Share, Speed, Spelling

Quality = Annotated[float, Field(ge=0, le=1e30)]
Divergence = Annotated[float, Field(ge=-1, le=1e6)]  # a little below 0 where a sum was rounded


@dataclass(frozen=True)
class Measured:
    """One variant measured: bytes, seconds, tokens a second, nats a token; None where there is no figure.

    `parts_at` counts the tokens of the reference's greedy answer before this one's would differ, of `answer_tokens`;
    None is never. `note` says what was done otherwise, `error` why there are no figures.
    How each is shown stands in `figures.FIGURES`.
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

    @property
    def memory(self) -> int:
        """Bytes of the weights as they were loaded, or as planned; 0 where neither is known."""
        return self.measured_bytes or self.predicted_bytes or 0
