"""Rotary embeddings whose frequencies depend on how long the whole text is: LongRoPE, dynamic NTK.

Transformers takes the end of what one call brings for the end of the text. A text that is read in chunks, or goes on
from kept keys, would get the frequencies of a short one at its beginning and of a long one at its end.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

KINDS = ("longrope", "dynamic")
NOT_KEPT = None  # the era of keys that fit to no other text


class RopeLength:
    """How long the text is that a model computes now, told to those of its embeddings that depend on it.

    For a model without such embeddings nothing is changed. Used on the engine thread only.
    """

    def __init__(self, model: Any) -> None:
        self._tokens = 0
        self._modules = [module for module in model.modules() if _kinds(module)]
        self._switches = [switch for module in self._modules for switch in _switches(module)]
        for module in self._modules:
            module.register_forward_pre_hook(self._lengthen, with_kwargs=True)
            module.register_forward_hook(lambda module, args, output: tuple(part[..., :-1, :] for part in output))
        if self._modules:
            from transformers import GenerationMixin

            # Phi-3's own drops the cache wherever it is shorter than the switch; here it fits, or is made anew.
            own = GenerationMixin.prepare_inputs_for_generation
            model.prepare_inputs_for_generation = MethodType(own, model)

    def start(self, tokens: int) -> None:
        """A new text, of so many tokens for now: embeddings forget how long the ones before were."""
        for module in self._modules:
            for prefix, kind in _kinds(module).items():
                if kind == "dynamic":
                    original = getattr(module, f"{prefix}original_inv_freq")
                    module.register_buffer(f"{prefix}inv_freq", original.clone(), persistent=False)
                    setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
        self._tokens = tokens

    def grow(self, tokens: int) -> bool:
        """The text has so many tokens now; whether that makes the keys so far useless."""
        before, self._tokens = self._tokens, tokens
        # As transformers' generate does: the keys of a text that grows beyond the dynamic switch stay as they are.
        dynamic = any(kind == "dynamic" for kind, _ in self._switches)
        return self.era(before) != self.era(tokens) and not dynamic

    @property
    def now(self) -> str | None:
        """The era of the keys that are computed now."""
        return self.era(self._tokens)

    def era(self, tokens: int) -> str | None:
        """Keys of texts of two lengths fit together where their eras are the same, but for NOT_KEPT."""
        passed = [kind for kind, at in self._switches if tokens > at]
        return NOT_KEPT if "dynamic" in passed else " ".join(passed)

    def _lengthen(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Let the embedding see one position more, the last of the text, by which it finds the length."""
        import torch

        def longer(positions: Any) -> Any:
            last = positions.amax(dim=-1, keepdim=True).clamp(min=self._tokens - 1)
            return torch.cat([positions, last], dim=-1)

        if "position_ids" in kwargs:
            return args, {**kwargs, "position_ids": longer(kwargs["position_ids"])}
        return (args[0], longer(args[1]), *args[2:]), kwargs


def _kinds(module: Any) -> dict[str, str]:
    """The kinds of a rotary embedding that depend on the length, by the prefix of its buffers."""
    stated = getattr(module, "rope_type", None)
    if not isinstance(stated, str | dict) or not hasattr(module, "original_max_seq_len"):
        return {}
    by_prefix = {"": stated} if isinstance(stated, str) else {f"{layer}_": kind for layer, kind in stated.items()}
    return {prefix: kind for prefix, name in by_prefix.items() for kind in KINDS if kind in name}


def _switches(module: Any) -> list[tuple[str, int]]:
    """The lengths beyond which the frequencies are others."""
    found = []
    for prefix, kind in _kinds(module).items():
        stated = module.config.rope_parameters
        stated = stated[prefix[:-1]] if prefix else stated
        longrope = kind == "longrope"
        at = stated["original_max_position_embeddings"] if longrope else module.original_max_seq_len
        found.append((kind, int(at)))
    return found
