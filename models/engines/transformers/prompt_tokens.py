"""A prompt as tokens: what is written, after at most one start token; what a tokenizer would add at its end is not."""

from __future__ import annotations

from typing import Any

from ...domain.engine import Prompt
from ...domain.errors import EmptyPrompt, UnknownToken
from .loader import Loaded


def tokenize(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The ids of a prompt, at least one; raises EmptyPrompt.

    A text gets the start token that its tokenizer puts in front, unless it is written there already. A rendered prompt
    spells its own, or has none.
    """
    ids: list[int] = tokenizer(prompt.text, add_special_tokens=False, verbose=False)["input_ids"]
    start = tokenizer.bos_token_id
    if start is not None and (not ids or (not prompt.rendered and ids[0] != start and starts_texts(tokenizer))):
        ids = [start, *ids]
    if not ids:
        raise EmptyPrompt
    return ids


def prompt_ids(loaded: Loaded, prompt: Prompt) -> list[int]:
    """The same for a loaded model; raises UnknownToken for one that its tokenizer has and its embeddings lack."""
    ids, rows = tokenize(loaded.tokenizer, prompt), loaded.model.get_input_embeddings().num_embeddings
    if (highest := max(ids)) >= rows:
        raise UnknownToken(token=str(loaded.tokenizer.convert_ids_to_tokens(highest))[:80])
    return ids


def starts_texts(tokenizer: Any) -> bool:
    """Whether a tokenizer puts its start token before a text, whatever else it adds and wherever."""
    bare, dressed = (tokenizer("a", add_special_tokens=added)["input_ids"] for added in (False, True))
    start = [tokenizer.bos_token_id]
    return dressed[:1] == start != bare[:1]
