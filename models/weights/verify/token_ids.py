"""Do a model's token ids stay within its embeddings? Asked of its settings and of its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...domain.errors import CorruptWeights, UnsafeWeights
from ...system.files import read_json, read_object, state_of
from .file_names import CHAT_TEMPLATES

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
LARGEST = 500_000_000  # bytes of a tokenizer; the largest vocabularies take a tenth of it
_ENDS, _LISTS = ("bos_token_id", "eos_token_id", "pad_token_id"), ("eos_token_id",)


def check_settings(data: dict[str, Any], file: str, vocabulary: int, model: str) -> None:
    """Raise UnsafeWeights unless the ids that a config names are whole numbers within the vocabulary.

    An end may have several. A padding of -1 stands for none.
    """
    for field in _ENDS:
        value = data.get(field)
        ids = value if isinstance(value, list) and field in _LISTS else [] if value is None else [value]
        least = -1 if field == "pad_token_id" else 0
        if not all(type(one) is int and least <= one < vocabulary for one in ids):
            wanted = f"a whole number of 0 to {vocabulary - 1:,}" + (" or a list of them" if field in _LISTS else "")
            shown = json.dumps(value)[:60]
            raise UnsafeWeights(model=model, reason=f"{field} in its {file} is {shown}, not {wanted}")


def check_tokenizer(folder: Path, vocabulary: int) -> None:
    """Raise CorruptWeights when texts become tokens for which there are no embeddings, or it cannot be read.

    Embeddings without a token are usual: they fill the table up. So is a token that was added for something else
    (images, padding) and that no text and no chat template holds.
    """
    path = folder / TOKENIZER
    if not path.is_file():
        return
    told = [folder / name for name in (TOKENIZER_CONFIG, *CHAT_TEMPLATES) if (folder / name).is_file()]
    tokens = _tokens_needed(folder, state_of([path, *told]))
    if tokens > vocabulary:
        said = f"it has {tokens:,} tokens, and the model has embeddings for {vocabulary:,}"
        raise CorruptWeights(file=TOKENIZER, reason=said)


@lru_cache(maxsize=64)
def _tokens_needed(folder: Path, state: str) -> int:
    """One more than the highest id that a text or the template can need; large files take half a second."""
    tokenizer, config = read_object(folder / TOKENIZER, LARGEST), read_json(folder / TOKENIZER_CONFIG)
    added = dict(_added(tokenizer.get("added_tokens")))
    written = " ".join(_templates(folder, config))
    named = {_text(config.get(field)) for field in ("bos_token", "eos_token")}
    needed = [number for text, number in _vocabulary(tokenizer.get("model")) if text not in added]
    needed += [number for text, number in added.items() if text in named or text in written]
    return 1 + max(needed, default=-1)


def _added(tokens: Any) -> Iterator[tuple[str, int]]:
    for token in tokens if isinstance(tokens, list) else ():
        if isinstance(token, dict) and isinstance(token.get("id"), int):
            yield _text(token), token["id"]


def _vocabulary(model: Any) -> Iterator[tuple[str, int]]:
    tokens = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(tokens, list):  # pairs of a text and its score
        tokens = {str(entry[0]): n for n, entry in enumerate(tokens) if isinstance(entry, list) and entry}
    for text, number in tokens.items() if isinstance(tokens, dict) else ():
        if isinstance(text, str) and isinstance(number, int):
            yield text, number


def _templates(folder: Path, config: dict[str, Any]) -> list[str]:
    found = [json.dumps(config.get("chat_template", ""), ensure_ascii=False)]
    for name in CHAT_TEMPLATES:
        if (folder / name).is_file():
            found.append((folder / name).read_text(encoding="utf-8", errors="replace"))
    return found


def _text(token: Any) -> str:
    # A special token stands as its text, or as a table that has it as “content”.
    value = token.get("content") if isinstance(token, dict) else token
    return value if isinstance(value, str) else ""
