"""What a GGUF file says about prompting: its chat templates, special tokens and vocabulary, read from its header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...domain.errors import CannotLoad, CorruptWeights
from ...weights.verify.gguf_header import read_header
from ..chat_template import NONE, ChatTemplate

_TEMPLATE, _TOKENS = "tokenizer.chat_template", "tokenizer.ggml.tokens"
# transformers' names of special tokens -> the keys of their ids
_SPECIAL = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "sep_token": "seperator",  # spelled so in the format
    "pad_token": "padding",
    "mask_token": "mask",
}


def chat_template_of(path: str, trusted: bool) -> ChatTemplate:
    """The template that llama.cpp takes for a conversation with this file, and none of another family's.

    Raises CannotLoad.
    """
    try:
        values = read_header(Path(path), (_TOKENS,)).values
    except CorruptWeights as error:
        raise CannotLoad(file=error.facts["file"], reason=error.facts["reason"]) from None
    prefix = f"{_TEMPLATE}."
    named = sorted(key.removeprefix(prefix) for key in values if key.startswith(prefix))
    lack = NONE
    if named:
        lack = f"its GGUF file has chat templates called {', '.join(named)[:200]}, and none of them is the default"
    return ChatTemplate(str(values.get(_TEMPLATE) or ""), special_tokens(values), trusted, lack)


def special_tokens(values: dict[str, Any]) -> dict[str, str]:
    """The special tokens that a file names, as transformers calls them; the first two as llama.cpp gives them."""
    tokens, found = values.get(_TOKENS) or [], {"bos_token": "", "eos_token": ""}
    for name, key in _SPECIAL.items():
        at = values.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(at, int) and 0 <= at < len(tokens):
            found[name] = tokens[at]
    return found


def fewest_tokens(path: Path, text: str) -> int:
    """The least number of entries of a file's vocabulary that spell a text: its tokenizer never makes fewer.

    0 where the kind of the vocabulary is not known. Raises CorruptWeights.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import Unigram
    from tokenizers.normalizers import Replace
    from tokenizers.pre_tokenizers import ByteLevel

    values = read_header(path, (_TOKENS,)).values
    kind, entries = values.get("tokenizer.ggml.model"), values.get(_TOKENS) or []
    if kind not in ("llama", "gpt2"):
        return 0
    tokenizer = Tokenizer(Unigram([(entry, -1.0) for entry in entries], unk_id=0))  # the best is the shortest
    if kind == "llama":  # SentencePiece; what it lacks is spelled in bytes, each a token, and counted less here
        tokenizer.normalizer = Replace(" ", "\u2581")
    else:
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    return len(tokenizer.encode(text, add_special_tokens=False).ids)
