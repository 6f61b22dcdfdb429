"""Prompts as tokens, by llama.cpp's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...domain.errors import EmptyPrompt


class Tokens:
    """Prompts as tokens: what is written, after at most one start token, whatever the file's own flags add."""

    def __init__(self, ask: Callable[[str, dict[str, Any]], dict[str, Any]], start: str) -> None:
        self._ask = ask
        bare, dressed = self._ids("a"), self._ids("a", add_special=True)
        named = self._ids(start) if start else []
        self._start = named if len(named) == 1 else []
        self.starts_texts = bool(self._start) and dressed[:1] == self._start != bare[:1]

    def of(self, text: str, rendered: bool) -> list[int]:
        """The ids of a prompt; one that a template has rendered spells its own start token. Raises EmptyPrompt."""
        ids = self._ids(text) if text else []
        if not ids or (self.starts_texts and not rendered and ids[:1] != self._start):
            ids = self._start + ids
        if not ids:
            raise EmptyPrompt
        return ids

    def pieces(self, text: str) -> list[bytes]:
        """What each token of a text stands for."""
        told = self._ask("/tokenize", {"content": text, "add_special": False, "with_pieces": True})["tokens"]
        pieces = [each["piece"] for each in told]  # a list of bytes where it is no whole text
        return [piece.encode() if isinstance(piece, str) else bytes(piece) for piece in pieces]

    def name(self, token: int) -> bytes:
        """What a special token is called, which is written as nothing elsewhere."""
        return str(self._ask("/detokenize", {"tokens": [token]})["content"]).encode()

    def _ids(self, text: str, add_special: bool = False) -> list[int]:
        return list(self._ask("/tokenize", {"content": text, "add_special": add_special})["tokens"])
