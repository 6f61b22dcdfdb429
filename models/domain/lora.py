"""What an adapter_config.json may say: a plain LoRA of bounded size, checked before any library reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from .errors import AdapterRefused

RANK_MAX = 512
ALPHA_MAX = 4096.0
TARGETS_MAX = 64
EMBEDDINGS, HEAD = "embed_tokens", "lm_head"
Number = TypeVar("Number", int, float)
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(?:\.[A-Za-z0-9_]{1,64}){0,7}")
# Fields that change nothing about what is computed from the two matrices.
_HARMLESS = frozenset(
    {
        "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
        "inference_mode", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout", "use_rslora",
        "init_lora_weights", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern", "megatron_core",
        "qalora_group_size", "loftq_config", "eva_config", "runtime_config", "ensure_weight_tying", "bias",
        "fan_in_fan_out",
    }
)  # fmt: skip
# Fields that make it something else than a plain LoRA, in words; any other unknown field is refused by its name.
_OTHER_METHODS = {
    "use_dora": "it is a DoRA, which also scales the base's weights",
    "modules_to_save": "it replaces whole modules of the base",
    "alora_invocation_tokens": "it is an activated LoRA, which acts only after certain tokens",
    "layer_replication": "it repeats layers of the base",
    "trainable_token_indices": "it changes single embeddings of the base",
    "target_parameters": "it changes parameters outside of linear layers",
    "use_qalora": "it is a QA-LoRA, which pools its inputs",
    "lora_bias": "its matrices have biases",
}
# What leaves the base as it is; pissa, olora, corda, lora_ga and loftq also subtract something from the base's weights.
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class LoraConfig:
    """A plain LoRA: rank and alpha, which may differ by module, and the names of the modules that it changes.

    `ranks` and `alphas` go with a module's name or the end of it. Source: PEFT's LoraConfig.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    base: str = ""  # that it was trained on, as its config names it
    by_root: bool = False  # rank-stabilized: alpha is divided by the root of the rank
    ranks: tuple[tuple[str, int], ...] = ()
    alphas: tuple[tuple[str, float], ...] = ()

    def rank_of(self, module: str) -> int:
        """The rank that the two matrices of a module must have."""
        return _first(self._ranks, module, self.rank)

    def scaling(self, module: str) -> float:
        """What B A is multiplied with before the adapter's weight."""
        alpha = _first(self._alphas, module, self.alpha)
        rank = self.rank_of(module)
        return alpha / math.sqrt(rank) if self.by_root else alpha / rank

    def targets_module(self, module: str) -> bool:
        """Whether the config names this module."""
        return any(module == target or module.endswith("." + target) for target in self.targets)

    @cached_property
    def _ranks(self) -> dict[str, tuple[int, int]]:
        return _table(self.ranks)

    @cached_property
    def _alphas(self) -> dict[str, tuple[int, float]]:
        return _table(self.alphas)


def read_lora(data: Mapping[str, Any], adapter: str) -> LoraConfig:
    """The config in the object of an adapter_config.json; raises AdapterRefused with the reason."""

    def refuse(reason: str) -> AdapterRefused:
        return AdapterRefused(adapter=adapter, reason=reason)

    kind = data.get("peft_type")
    if kind != "LORA":
        raise refuse(f"it is of the type {shown(kind)}, and only LORA is supported")
    if (task := data.get("task_type")) not in (None, "CAUSAL_LM"):
        raise refuse(f"it is for the task {shown(task)}, not for text generation")
    for field, reason in _OTHER_METHODS.items():
        if data.get(field):
            raise refuse(reason)
    for field, value in data.items():
        if field not in _HARMLESS and field not in _OTHER_METHODS and value:
            raise refuse(f"it sets {shown(field)}, which is not supported")
    if data.get("bias") not in (None, "none"):
        raise refuse("it also changes biases of the base")
    if data.get("fan_in_fan_out"):
        raise refuse("its matrices are stored transposed (fan_in_fan_out)")
    start = data.get("init_lora_weights")
    if not any(start is plain or (isinstance(plain, str) and start == plain) for plain in _PLAIN_STARTS):
        raise refuse(f"it was trained on a base that was changed at the start ({shown(start)})")
    base = data.get("base_model_name_or_path")
    return LoraConfig(
        rank=_rank(data.get("r", 8), "r", refuse),
        alpha=_alpha(data.get("lora_alpha", 8), "lora_alpha", refuse),
        targets=_targets(data.get("target_modules"), refuse),
        base=_printable(base[:200]) if isinstance(base, str) else "",
        by_root=data.get("use_rslora") is True,
        ranks=tuple((name, _rank(value, name, refuse)) for name, value in _pattern(data, "rank_pattern", refuse)),
        alphas=tuple((name, _alpha(value, name, refuse)) for name, value in _pattern(data, "alpha_pattern", refuse)),
    )


_MATRIX = re.compile(r"(?:base_model\.model\.)?(.+?)\.lora_([AB])(?:\.default)?\.weight")


def matrix_of(tensor: str) -> tuple[str, str] | None:
    """The module and the matrix, A or B, that a tensor's name in an adapter's file means; None for any other name."""
    found = _MATRIX.fullmatch(tensor)
    return (found[1], found[2]) if found else None


def _targets(value: Any, refuse: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise refuse("its target_modules is a regular expression; only a list of plain module names is taken")
    if not isinstance(value, list) or not value:
        raise refuse("its target_modules is not a list of module names")
    if len(value) > TARGETS_MAX:
        raise refuse(f"it names {len(value):,} target modules, more than {TARGETS_MAX}")
    for name in value:
        if not isinstance(name, str) or not _MODULE.fullmatch(name):
            raise refuse(f"its target module {shown(name)} is not a plain name")
        if name.rpartition(".")[2] == EMBEDDINGS:
            raise refuse(f"it changes the embeddings ({EMBEDDINGS}), and only linear layers are supported")
    return tuple(dict.fromkeys(value))


def _rank(value: Any, name: str, refuse: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= RANK_MAX:
        raise refuse(f"the rank {name} is {shown(value)}, not a whole number from 1 to {RANK_MAX}")
    return value


def _alpha(value: Any, name: str, refuse: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 < value <= ALPHA_MAX:  # NaN is not
        raise refuse(f"the scale {name} is {shown(value)}, not a number above 0 and up to {ALPHA_MAX:g}")
    return float(value)


def _pattern(data: Mapping[str, Any], field: str, refuse: Any) -> list[tuple[str, Any]]:
    pattern = data.get(field) or {}
    if not isinstance(pattern, dict) or len(pattern) > 4096:
        raise refuse(f"its {field} cannot be used")
    for name in pattern:
        if not _MODULE.fullmatch(name):
            raise refuse(f"its {field} holds {shown(name)}, which is not a plain module name")
    return list(pattern.items())


def _table(pairs: tuple[tuple[str, Number], ...]) -> dict[str, tuple[int, Number]]:
    """Place and value by name, so that thousands of names are not walked for each of thousands of modules."""
    return {name: (place, value) for place, (name, value) in reversed(list(enumerate(pairs)))}


def _first(table: dict[str, tuple[int, Number]], module: str, default: Number) -> Number:
    """The value of the first name that the module has or ends with, as PEFT picks it."""
    parts = module.split(".") if table else []
    ends = (".".join(parts[start:]) for start in range(len(parts)))
    return min((table[end] for end in ends if end in table), key=lambda found: found[0], default=(0, default))[1]


def shown(value: Any, longest: int = 40) -> str:
    """What a file says, as part of a sentence: few characters, and none that does not print."""
    try:
        text = _printable(str(value)[:200])
    except (ValueError, RecursionError):  # a number of too many digits, lists that are nested too deep
        text = type(value).__name__
    return f"“{text[:longest]}…”" if len(text) > longest else f"“{text}”"


def _printable(text: str) -> str:
    return "".join(mark for mark in text if mark.isprintable())
