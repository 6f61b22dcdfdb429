"""How likely llama.cpp finds each token of a text, from what its process tells of each position."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ...domain.engine import Prompt
from ...domain.errors import EngineFailed, NotFinite
from ...domain.load import ActiveAdapter
from ...domain.messages import Progress, Scored
from ..score_files import Reference, record_likeliest
from ..text_stream import Detokenizer, token_texts
from .chunks import Chunks

# Of the likeliest tokens of each position: more take time, fewer make the bound of KL looser. Asked for always, since
# by their number llama.cpp adds the probabilities up in another order, and rounds otherwise.
LIKELIEST = 200
PROGRESS_S = 0.1


def score(
    server: Any,
    adapters: Sequence[ActiveAdapter],
    prompt: Prompt,
    context: int,
    record: str,
    reference: str,
    rivals: int,
) -> Iterator[Progress | Scored]:
    """Progress ten times a second, or after each token if that is slower, then the scores; closing it stops.

    Recorded and compared are the `LIKELIEST` tokens of each position, so that divergences are lower bounds, by
    `divergence_at_least`. Raises TextTooShort, ContextExceeded, ReferenceDiffers, NotFinite, EngineFailed.
    """
    wanted = {
        "prompt": prompt.text,
        "rendered": prompt.rendered,
        "context": context,
        "likeliest": LIKELIEST,
        "names": rivals,
    }
    chunks = Chunks(partial(server.score, wanted, adapters), "while scoring")
    chunks.start()
    try:
        yield from _scored(chunks, prompt.text, record, reference, rivals)
    finally:
        chunks.stop()


def _scored(chunks: Chunks, text: str, record: str, reference: str, rivals: int) -> Iterator[Progress | Scored]:
    while not (first := chunks.next()):
        yield _going_on(first, 0, 0)
    ids, pieces = first["ids"], [bytes(piece) for piece in first["pieces"]]
    spelled = dict(zip(ids[len(ids) - len(pieces) :], pieces, strict=True))
    compared = Reference(reference, ids) if reference else None
    rows: list[dict[str, Any]] = []
    results: list[tuple[bool, float]] = []
    told = 0.0
    yield _going_on(first, 0, len(ids) - 1)
    while len(rows) < len(ids) - 1:
        chunk = chunks.next()
        if chunk:
            chunk["log_probs"] = [-math.inf if value is None else value for value in chunk["log_probs"]]
            if compared:
                results.append(compared.compare_some(len(rows), chunk["tokens"], chunk["log_probs"]))
            rows.append(chunk)
            spelled |= {token: bytes(name) for token, name in zip(chunk["tokens"], chunk["names"], strict=False)}
        if not chunk or time.monotonic() - told > PROGRESS_S or len(rows) == len(ids) - 1:
            told = time.monotonic()
            yield _going_on(chunk, len(rows), len(ids) - 1)
    if not all(math.isfinite(divergence) for _, divergence in results):
        raise NotFinite(during="beside the reference's")
    if record:
        record_likeliest(record, ids, [row["tokens"] for row in rows], [row["log_probs"] for row in rows])
    yield _whole(text, ids, len(ids) > len(pieces), spelled, rows, results, rivals)


def _going_on(chunk: dict[str, Any] | None, done: int, total: int) -> Progress:
    if chunk is None:
        raise EngineFailed(detail="llama.cpp ended without an error message")
    return Progress("score", done, total, "tokens")


def _whole(
    text: str,
    ids: list[int],
    added: bool,
    spelled: dict[int, bytes],
    rows: list[dict[str, Any]],
    results: list[tuple[bool, float]],
    rivals: int,
) -> Scored:
    def bytes_of(part: Any) -> bytes:
        return b"".join(spelled[token] for token in part)

    best = [
        [(token, math.exp(value)) for token, value in zip(row["tokens"][:rivals], row["log_probs"], strict=False)]
        for row in rows
    ]
    pieces = Detokenizer(lambda part: bytes_of(part).decode(errors="replace"), bytes_of)
    texts, named, first = token_texts(pieces, ids, added, best if rivals else ())
    if not text.startswith(" ") and (first + "".join(texts)).startswith(" "):  # SentencePiece puts one before a text
        texts = texts if first else (texts[0][1:], *texts[1:])
        first = first[1:]
    return Scored(
        tokens=texts,
        log_probabilities=tuple(row["log_prob"] for row in rows),
        likeliest=tuple(row["tokens"][0] == token for row, token in zip(rows, ids[1:], strict=True)),
        bytes=len(text.encode()) - len(first.encode()),
        offset=1,
        agrees=tuple(agrees for agrees, _ in results),
        divergences=tuple(divergence for _, divergence in results),
        rivals=named,
        at_least=bool(results),
    )
