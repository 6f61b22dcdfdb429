"""What a GGUF file says about prompting: its chat templates and special tokens, read from its header."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from ...domain.errors import CannotLoad
from ..chat_template import NONE, ChatTemplate

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
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
    values = read_metadata(path)
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


def read_metadata(path: str) -> dict[str, Any]:
    """The key-value pairs of a header, of arrays only the tokens; raises CannotLoad."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _, _, _, pairs = struct.unpack_from("<4sIQQ", data)
            reader = _Reader(data)
            return dict(reader.pair() for _ in range(pairs))
    except (struct.error, IndexError, ValueError, KeyError, OverflowError):
        raise CannotLoad(file=Path(path).name, reason="its header is cut short or cannot be read") from None


class _Reader:
    """A position in the file; a read past the end is a struct.error."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 24

    def pair(self) -> tuple[str, Any]:
        key = self.text()
        kind = self.number("<I")
        if kind != _ARRAY:
            return key, self.text() if kind == _STRING else self.number(_SCALARS[kind])
        kind, count = self.number("<I"), self.number("<Q")
        if kind != _STRING:
            self.at += count * struct.calcsize(_SCALARS[kind])
            return key, None
        if key == _TOKENS:
            return key, [self.text() for _ in range(count)]
        for _ in range(count):
            length = self.number("<Q")  # which moves, so it comes first
            self.at += length
        return key, None

    def number(self, code: str) -> Any:
        (value,) = struct.unpack_from(code, self.data, self.at)
        self.at += struct.calcsize(code)
        return value

    def text(self) -> str:
        length = self.number("<Q")
        self.at += length
        if self.at > len(self.data):
            raise ValueError("past the end")
        return self.data[self.at - length : self.at].decode("utf-8", "replace")
