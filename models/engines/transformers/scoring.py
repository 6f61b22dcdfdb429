"""How likely a model finds each token of a text: forward passes over chunks, with logits of one chunk at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from typing import Any

from ...domain.errors import NotFinite, TextTooShort
from ...domain.messages import Progress, Scored
from ..score_files import Record, Reference
from ..text_stream import Detokenizer, token_texts
from .loader import Loaded
from .tokens import bytes_of

CHUNK = 128  # tokens; float32 log-probabilities of a vocabulary of 262,144 are 134 MB for so many


def score(
    loaded: Loaded, text: str, ids: Sequence[int], record: str, reference: str, rivals: int = 0
) -> Iterator[Progress | Scored]:
    """Progress after each chunk, then the scores of all tokens but the first, with so many `rivals` of each.

    `ids` are those of `text`, perhaps after a start token. Raises TextTooShort, ReferenceDiffers, DiskFull, NotFinite.
    """
    from transformers import DynamicCache

    model = loaded.model
    if len(ids) < 2:
        raise TextTooShort(tokens=len(ids))
    loaded.length.start(len(ids))
    cache = DynamicCache(config=model.config)
    rows: list[tuple[Any, ...]] = []
    compared = Reference(reference, ids) if reference else None
    with closing(Record(record, ids)) if record else nullcontext() as recorded:
        yield Progress("score", 0, len(ids) - 1, "tokens")
        for start in range(0, len(ids) - 1, CHUNK):
            inputs, targets = ids[start : min(start + CHUNK, len(ids) - 1)], ids[start + 1 : start + CHUNK + 1]
            rows.append(_score_chunk(model, cache, inputs, targets, start, compared, recorded, rivals))
            yield Progress("score", start + len(inputs), len(ids) - 1, "tokens")
        if recorded is not None:
            recorded.finish()
    log_probabilities, likeliest, agrees, divergences, best = (
        tuple(v for part in column for v in part) for column in zip(*rows, strict=True)
    )
    added = ids[0] == loaded.tokenizer.bos_token_id and not text.startswith(loaded.tokenizer.bos_token)
    texts, named, first = token_texts(_detokenizer(loaded.tokenizer), ids, added, best)
    yield Scored(
        tokens=texts,
        log_probabilities=log_probabilities,
        likeliest=likeliest,
        bytes=len(text.encode()) - len(first.encode()),
        offset=1,
        agrees=agrees,
        divergences=divergences,
        rivals=named,
        at_least=compared is not None and not compared.is_whole,
    )


def _score_chunk(
    model: Any,
    cache: Any,
    inputs: Sequence[int],
    targets: Sequence[int],
    start: int,
    compared: Reference | None,
    recorded: Record | None,
    rivals: int,
) -> tuple[Any, ...]:
    """Log-probabilities, likeliest, agrees, divergences and rivals of one chunk; its logits are dropped on return."""
    import torch

    with torch.inference_mode():
        tokens = torch.tensor([list(inputs)], device=model.device)
        logits = model(input_ids=tokens, past_key_values=cache, use_cache=True).logits[0].float()
        log_probs = torch.log_softmax(logits, dim=-1).cpu()
        del logits
        wanted = torch.tensor(list(targets))
        chosen = log_probs.gather(1, wanted[:, None])[:, 0]
        # Of a row with NaN or infinity nothing is a number; with minus infinity, a token that cannot come.
        if not bool(chosen.isfinite().all()):
            raise NotFinite(during="while scoring")
        likeliest = log_probs.argmax(dim=-1)
        agrees, divergences = compared.compare(start, log_probs, likeliest) if compared else ([], [])
        if not all(map(math.isfinite, divergences)):
            raise NotFinite(during="beside the reference's")
        if recorded:
            recorded.write(start, log_probs)
        return chosen.tolist(), (likeliest == wanted).tolist(), agrees, divergences, _best(log_probs, rivals)


def _best(log_probs: Any, count: int) -> list[list[tuple[int, float]]]:
    if not count:
        return []
    best = log_probs.topk(count, dim=-1)
    rows = zip(best.indices.tolist(), best.values.exp().tolist(), strict=True)
    return [list(zip(tokens, chances, strict=True)) for tokens, chances in rows]


def _detokenizer(tokenizer: Any) -> Detokenizer:
    def decode(part: list[int]) -> str:
        return str(tokenizer.decode(part, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    return Detokenizer(decode, bytes_of(tokenizer))
