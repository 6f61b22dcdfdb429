"""A tokenizer's tokens: those of a prompt and the bytes that tokens stand for.

A prompt is what is written, after at most one start token; what a tokenizer would add at its end is not. By its bytes
a character that a model wrote is told from one that it has not finished.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from ...domain.engine import Prompt
from ...domain.errors import EmptyPrompt, UnknownToken
from .loader import Loaded

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")  # a token of SentencePiece for what its vocabulary lacks


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


def decoder(tokenizer: Any, kept: Sequence[str] = ()) -> Callable[[list[int]], str]:
    """A function that gives the text of tokens without the special ones, but for those that are `kept`."""
    exactly = partial(tokenizer.decode, clean_up_tokenization_spaces=False)
    added = tokenizer.added_tokens_decoder if kept else {}
    if not any(token.special and token.content in kept for token in added.values()):
        return partial(exactly, skip_special_tokens=True)
    hidden = {number for number, token in added.items() if token.special and token.content not in kept}
    return lambda ids: exactly([number for number in ids if number not in hidden], skip_special_tokens=False)


def bytes_of(tokenizer: Any) -> Callable[[Sequence[int]], bytes]:
    """A function that gives the bytes of tokens, but for the blanks that some tokenizers spell otherwise."""
    spelled = _spelled_byte_by_byte if _is_byte_level(tokenizer) else _spelled_as_text
    return lambda ids: b"".join(map(spelled, tokenizer.convert_ids_to_tokens(list(ids))))


def _is_byte_level(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    return decoder is not None and b"ByteLevel" in decoder.__getstate__()  # its JSON, without the vocabulary


def _spelled_as_text(token: str | None) -> bytes:
    found = _BYTE.fullmatch(token or "")
    return bytes([int(found[1], 16)]) if found else (token or "").encode("utf-8", "replace")


def _spelled_byte_by_byte(token: str | None) -> bytes:
    spelled = _byte_of_letter()
    if token and all(letter in spelled for letter in token):
        return bytes(spelled[letter] for letter in token)
    return (token or "").encode("utf-8", "replace")  # one that was added


@cache
def _byte_of_letter() -> dict[str, int]:
    """How byte-level tokenizers spell bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {letter: byte for byte, letter in bytes_to_unicode().items()}
