"""How good a variant is on a text, and how close to another: scored one after another, with the first one's on disk."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..domain.engine import Prompt
from ..domain.messages import Event, Progress, Scored, Usage
from ..domain.results import metrics
from ..domain.results.comparison import TokenView
from ..domain.variant import Variant
from ..runtime import Runtime

LONGEST_TEXT = 8_000  # characters: all log-probabilities of the reference are kept on disk meanwhile
CONVERTED = "made from a quantized GGUF file, since the Hub's own weights could not be reached: no more exact than that"


@dataclass(frozen=True)
class Reference:
    """What others are compared with: the file of its scores of the text, its answer, and where that one starts."""

    text_file: str
    answer_prompt: Prompt
    prompt_tokens: int
    scored: Scored


Figures = dict[str, Any]  # by the names of Measured


def first(
    runtime: Runtime, variant: Variant, text: str, answer: Prompt, prompt_tokens: int, folder: str, token: str | None
) -> Generator[Progress, None, tuple[Figures, Reference]]:
    """The quality of the one that the others are compared with; `answer` is its prompt with its answer."""
    record = str(Path(folder) / "text.npy")
    scored = yield from _score(runtime, variant, Prompt(text), token, record)
    own = yield from _score(runtime, variant, answer, token)
    figures = _alone(scored) | {"agreement": 1.0, "divergence": 0.0}
    return figures, Reference(record, answer, prompt_tokens, own)


def against(
    runtime: Runtime, variant: Variant, text: str, reference: Reference, token: str | None
) -> Generator[Progress, None, Figures]:
    """The quality of another, on the same text and on the reference's own answer; raises ReferenceDiffers."""
    scored = yield from _score(runtime, variant, Prompt(text), token, reference=reference.text_file)
    theirs = yield from _score(runtime, variant, reference.answer_prompt, token)
    return _alone(scored) | {
        "agreement": metrics.share(scored.agrees),
        "divergence": metrics.mean(scored.divergences),
        "divergence_at_least": scored.at_least,
        "parts_at": metrics.parting(reference.scored, theirs, reference.prompt_tokens),
        "answer_tokens": len(theirs.likeliest) - max(0, reference.prompt_tokens - theirs.offset),
    }


def alone(runtime: Runtime, variant: Variant, text: str, token: str | None) -> Generator[Progress, None, Figures]:
    """The quality of one that is compared with none."""
    scored = yield from _score(runtime, variant, Prompt(text), token)
    return _alone(scored)


def tokens(
    runtime: Runtime, variant: Variant, answer: Prompt, prompt_tokens: int, rivals: int, token: str | None
) -> Generator[Progress, None, tuple[TokenView, ...]]:
    """Each token of an answer with its probability and its rivals; `answer` is the prompt with the answer."""
    scored = yield from _score(runtime, variant, answer, token, rivals=rivals)
    start = max(0, prompt_tokens - scored.offset)
    places = zip(scored.tokens[start:], scored.log_probabilities[start:], scored.rivals[start:], strict=True)
    return tuple(
        TokenView(text, math.exp(chance), tuple((other, p) for other, p in best if other != text))
        for text, chance, best in places
    )


def peak_alone(runtime: Runtime, usage: Usage, base: str) -> int | None:
    """Peak bytes of the process while it answered, without the other models that transformers holds in it."""
    if not usage.peak_bytes:
        return None
    inside = [line for line in runtime.held() if line.engine == usage.engine == "transformers"]
    return max(0, usage.peak_bytes - sum(line.resident for line in inside if line.name != base)) or None


def _alone(scored: Scored) -> Figures:
    return {
        "perplexity": metrics.perplexity(scored.log_probabilities),
        "bits_per_byte": metrics.bits_per_byte(scored.log_probabilities, scored.bytes),
    }


def _score(
    runtime: Runtime,
    variant: Variant,
    prompt: Prompt,
    token: str | None,
    record: str = "",
    reference: str = "",
    rivals: int = 0,
) -> Generator[Progress, None, Scored]:
    scored: Event | None = None
    with closing(runtime.score(prompt, variant, record, reference, token, rivals)) as stream:
        for scored in stream:
            if isinstance(scored, Progress):
                yield replace(scored, detail=f"{variant} {scored.detail}".strip())
    assert isinstance(scored, Scored)
    return scored
