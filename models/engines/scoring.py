"""How likely a model finds each token of a text: forward passes over chunks, with logits of one chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from ..spec.errors import TextTooShort
from ..spec.messages import Progress, Scored
from .score_files import Record, Reference

CHUNK = 128  # tokens; float32 log-probabilities of a vocabulary of 262,144 are 134 MB for so many


def score(
    model: Any, tokenizer: Any, ids: Sequence[int], record: str, reference: str, rivals: int = 0
) -> Iterator[Progress | Scored]:
    """Progress after each chunk, then the scores of all tokens but the first, with so many `rivals` of each.

    Raises TextTooShort, ReferenceDiffers, DiskFull.
    """
    from transformers import DynamicCache

    if len(ids) < 2:
        raise TextTooShort(tokens=len(ids))
    cache = DynamicCache(config=model.config)
    rows: list[tuple[Any, ...]] = []
    with ExitStack() as files:
        compared = files.enter_context(Reference(reference, ids)) if reference else None
        recorded = files.enter_context(Record(record, ids)) if record else None
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
    texts = [_text(tokenizer, token) for token in ids[1:]]
    yield Scored(
        tokens=tuple(texts),
        log_probabilities=log_probabilities,
        likeliest=likeliest,
        bytes=_bytes(tokenizer, ids),
        offset=1,
        agrees=agrees,
        divergences=divergences,
        rivals=tuple(tuple((_text(tokenizer, token), chance) for token, chance in place) for place in best),
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
        likeliest = log_probs.argmax(dim=-1)
        agrees, divergences = compared.compare(start, log_probs, likeliest) if compared else ([], [])
        if recorded:
            recorded.write(start, log_probs)
        return chosen.tolist(), (likeliest == wanted).tolist(), agrees, divergences, _best(log_probs, rivals)


def _best(log_probs: Any, count: int) -> list[list[tuple[int, float]]]:
    if not count:
        return []
    best = log_probs.topk(count, dim=-1)
    rows = zip(best.indices.tolist(), best.values.exp().tolist(), strict=True)
    return [list(zip(tokens, chances, strict=True)) for tokens, chances in rows]


def _text(tokenizer: Any, token: int) -> str:
    """One token as text; a part of a character becomes the replacement character, never nothing."""
    text = tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return str(text) or str(tokenizer.convert_ids_to_tokens(token))


def _bytes(tokenizer: Any, ids: Sequence[int]) -> int:
    """UTF-8 bytes of the text that all tokens but the first stand for.

    The whole less its beginning, as the text of a token depends on those before it.
    """

    def size(part: Sequence[int]) -> int:
        return len(tokenizer.decode(part, skip_special_tokens=False, clean_up_tokenization_spaces=False).encode())

    return size(list(ids)) - size(list(ids[:1]))
