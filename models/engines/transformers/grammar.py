"""An answer kept within a JSON schema, by llguidance: before each token, those that would leave it are ruled out."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from ...domain.errors import BadSchema
from ..json_grammar import grammar
from .loader import Loaded

_VOCABULARIES: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # by model: one takes a second to read


class Grammar:
    """What one answer may go on with; used on the engine thread. Raises BadSchema."""

    def __init__(self, loaded: Loaded, schema: str) -> None:
        from llguidance import LLMatcher

        self._eos = loaded.eos_ids
        self._matcher = LLMatcher(_vocabulary(loaded), grammar(schema))
        self._check()

    def restrict(self, logits: Any) -> None:
        """Rule out, in place, the tokens that may not come next; `logits` are those of one row."""
        import numpy as np
        import torch

        if self._matcher.is_stopped():
            allowed = np.zeros(logits.shape[0], dtype=bool)
            allowed[list(self._eos)] = True
        else:
            bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
            allowed = np.unpackbits(bits, bitorder="little", count=logits.shape[0]).astype(bool)
        self._check()
        logits.masked_fill_(~torch.from_numpy(allowed).to(logits.device), float("-inf"))

    def took(self, token: int) -> None:
        """Go on after a token."""
        if token not in self._eos and not self._matcher.is_stopped():
            self._matcher.consume_token(token)
            self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise BadSchema(reason=" ".join(self._matcher.get_error().split())[:200])


def _vocabulary(loaded: Loaded) -> Any:
    """The tokens as llguidance reads them, as many as the model has logits for."""
    from llguidance.hf import from_tokenizer

    if loaded.model not in _VOCABULARIES:
        width = loaded.model.config.get_text_config().vocab_size  # a packed head does not say it
        _VOCABULARIES[loaded.model] = from_tokenizer(loaded.tokenizer, width, list(loaded.eos_ids) or None)
    return _VOCABULARIES[loaded.model]
