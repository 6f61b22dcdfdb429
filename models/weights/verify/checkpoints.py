"""Weights that a repository holds quantized already: which mode loads them, by its config.json and its tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...domain.catalog import DEQUANTIZED
from ...domain.errors import UnsafeWeights

FIELD = "quantization_config"
Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Checkpoint:
    """How weights on disk are quantized; `mode` is the one that loads them, `group` -1 a scale for a whole row."""

    mode: str
    bits: int = 4
    group: int = 0  # weights that share a scale; 0 where the method has blocks of its own
    dequantized: str = ""  # the method, where the weights become those of a plain mode as they are loaded


def read_checkpoint(config: dict[str, Any], model: str) -> Checkpoint | None:
    """What a config.json says of quantized weights, None of plain ones; raises UnsafeWeights for anything odd."""
    stated = config.get(FIELD)
    if stated is None:
        return None
    if not isinstance(stated, dict):
        raise UnsafeWeights(model=model, reason=f"the {FIELD} in its config.json is not a table")
    method = _method(stated, model)
    for field, value in stated.items():
        if not _METHODS[method].get(field, _is_plain)(value):
            shown = f"{field[:60]} = {_shown(value)}"
            raise UnsafeWeights(model=model, reason=f"the {FIELD} in its config.json has {shown}, which is not loaded")
    if method == "bitsandbytes":
        return _bitsandbytes(stated, model)
    if method in _DEQUANTIZED:
        return Checkpoint(DEQUANTIZED, dequantized=method)
    lacking = [field for field in ("bits", "group_size") if field not in stated]
    if lacking:
        raise UnsafeWeights(model=model, reason=f"the {FIELD} in its config.json lacks {lacking[0]}")
    return Checkpoint(method, stated["bits"], stated["group_size"])


def check_mode(config: dict[str, Any], model: str, wanted: str) -> None:
    """Raise UnsafeWeights unless weights are quantized as `wanted` says; an empty one stands for plain weights."""
    found = read_checkpoint(config, model)
    mode = found.mode if found else ""
    if mode == wanted:
        return
    if not mode:
        raise UnsafeWeights(model=model, reason=f"its weights are plain, and {wanted} ones were asked for")
    asked = f"{wanted} ones" if wanted else "plain ones"
    raise UnsafeWeights(model=model, reason=f"its weights are quantized already, as {mode}, and {asked} were asked for")


def check_tensors(names: Iterable[str], checkpoint: Checkpoint | None, model: str) -> None:
    """Raise UnsafeWeights when the tensors of the files are not those of the method that config.json names."""
    held = {sign for name in names for sign in _SIGNS if sign in name}
    kind = (checkpoint.dequantized or checkpoint.mode) if checkpoint else ""
    wanted = {sign for sign, kinds in _SIGNS.items() if kind in kinds}
    if held != wanted:
        said = f"they are {kind}" if kind else "nothing of it"
        tensors = f"quantized ({', '.join(sorted(held))})" if held else "plain"
        raise UnsafeWeights(model=model, reason=f"its weights are {tensors}, and its config.json says {said}")


# Part of a tensor's name -> the modes, or methods of dequantized weights, whose files have such tensors.
_SIGNS: dict[str, tuple[str, ...]] = {
    ".qweight": ("gptq", "awq"),
    ".quant_state.bitsandbytes__nf4": ("nf4", "nf4-single"),
    ".quant_state.bitsandbytes__fp4": ("fp4", "fp4-single"),
    ".SCB": ("int8",),
    ".weight_scale_inv": ("fp8",),
    "_proj_blocks": ("mxfp4",),
}


def _method(stated: dict[str, Any], model: str) -> str:
    # Loaders take load_in_… for bitsandbytes whatever the method says, so the two must not differ.
    flagged = bool(stated.get("load_in_4bit") or stated.get("load_in_8bit"))
    method = stated.get("quant_method", "bitsandbytes" if flagged else None)
    if not isinstance(method, str) or method not in _METHODS:
        named = f"by {_shown(method)}" if method is not None else "by a method that its config.json does not name"
        raise UnsafeWeights(
            model=model, reason=f"its weights are quantized {named}, which this app does not load; use a GGUF of it"
        )
    if flagged and method != "bitsandbytes":
        raise UnsafeWeights(model=model, reason=f"its config.json names both {method} and bitsandbytes")
    return method


def _bitsandbytes(stated: dict[str, Any], model: str) -> Checkpoint:
    four, eight = stated.get("load_in_4bit", False), stated.get("load_in_8bit", False)
    if four == eight:
        raise UnsafeWeights(model=model, reason="its config.json says neither 4 nor 8 bits, or both, of bitsandbytes")
    if eight:
        return Checkpoint("int8", 8)
    kind = stated.get("bnb_4bit_quant_type", "fp4")  # the default of transformers
    return Checkpoint(kind if stated.get("bnb_4bit_use_double_quant", False) else f"{kind}-single")


def _shown(value: Any) -> str:
    return str(value)[:40]


def _is_one_of(*allowed: Any) -> Check:
    return lambda value: any(type(value) is type(one) and value == one for one in allowed)


def _is_float(low: float, high: float) -> Check:
    return lambda value: type(value) is float and low <= value <= high  # NaN is within no bounds


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9_.]{1,200}", value))


def _are_names(value: Any) -> bool:
    return value is None or _is_name(value) or _is_list(value, _is_name)


def _are_patterns(value: Any) -> bool:
    """Names with a star for the number of a layer, which loaders take for regular expressions too."""
    few = r"[A-Za-z0-9_.]{1,200}(\*[A-Za-z0-9_.]{0,200}){0,2}"
    return value is None or _is_list(value, lambda name: isinstance(name, str) and bool(re.fullmatch(few, name)))


def _is_list(value: Any, check: Check) -> bool:
    return isinstance(value, list) and len(value) <= 1000 and all(map(check, value))


def _is_plain(value: Any, depth: int = 3) -> bool:
    if isinstance(value, dict | list):
        items = list(value.values()) if isinstance(value, dict) else value
        return depth > 0 and len(items) <= 100 and all(_is_plain(item, depth - 1) for item in items)
    if isinstance(value, str):
        return len(value) <= 300
    return value is None or (isinstance(value, int | float) and abs(value) < 2**63)  # NaN is not


_is_flag, _is_off = _is_one_of(True, False), _is_one_of(None, False, {}, [])
_GROUPS = (-1, 16, 32, 64, 128, 256, 512, 1024)
# Fields that are not listed are ignored by loaders, and only have to be plain and small. Names of modules are plain
# names, because loaders take them for regular expressions.
_GROUPED: dict[str, Check] = {
    "bits": _is_one_of(2, 3, 4, 8),
    "group_size": _is_one_of(*_GROUPS),
    "damp_percent": _is_float(1e-6, 0.999),
    "desc_act": _is_flag,
    "sym": _is_flag,
    "true_sequential": _is_flag,
    "act_group_aware": _is_flag,
    "cache_block_outputs": _is_flag,
    "format": _is_one_of("gptq", "gptq_v2"),
    "checkpoint_format": _is_one_of("gptq", "gptq_v2"),
    "pack_dtype": _is_one_of("int32"),
    "max_input_length": lambda value: value is None or (type(value) is int and 0 < value < 10**9),
    "modules_in_block_to_quantize": lambda value: value is None or _is_list(value, _are_names),
    "block_name_to_quantize": _are_names,
    "module_name_preceding_first_block": _are_names,
    # Loaders look at it, though it only tells how the weights were made.
    "dataset": lambda value: _is_one_of(None, "wikitext2", "c4", "c4-new")(value) or _is_list(value, _is_plain),
    # Switches of loaders of the past: they picked among kernels that were installed, and are ignored today.
    "use_exllama": _is_one_of(None, True, False),
    "disable_exllama": _is_one_of(None, True, False),
    # These leave the choice to the loader. Any other backend is a kernel for the hardware of whoever wrote the file,
    # and some are compiled on the spot. A field with “kernel” in its name is refused in checks.py.
    "backend": _is_one_of(None, "auto", "auto_trainable", "autoawq", "torch"),
    # These would fetch something else, or make layers whose size the plan does not know.
    "tokenizer": _is_off,
    "adapter": _is_off,
    "dynamic": _is_off,
    "lm_head": _is_off,
    "load_in_4bit": _is_off,
    "load_in_8bit": _is_off,
}
_AWQ: dict[str, Check] = _GROUPED | {
    "bits": _is_one_of(4),
    "zero_point": _is_flag,
    "version": _is_one_of(None, "gemm", "GEMM", "gemv", "GEMV", "gemv_fast"),
    "format": _is_one_of("gemm", "gemv", "gemv_fast"),
    "modules_to_not_convert": _are_names,
}
_BITSANDBYTES: dict[str, Check] = {
    "load_in_4bit": _is_flag,
    "load_in_8bit": _is_flag,
    "bnb_4bit_quant_type": _is_one_of("nf4", "fp4"),
    "bnb_4bit_use_double_quant": _is_flag,
    # Loaders look this name up in torch, where it could be any function.
    "bnb_4bit_compute_dtype": _is_one_of(None, "float16", "bfloat16", "float32"),
    "bnb_4bit_quant_storage": _is_one_of(None, "uint8", "float16", "bfloat16", "float32"),
    "llm_int8_threshold": _is_float(0, 1000),
    "llm_int8_skip_modules": lambda value: value is None or _is_list(value, _is_name),
    "llm_int8_enable_fp32_cpu_offload": _is_flag,
    "llm_int8_has_fp16_weight": _is_off,  # it keeps plain weights too, which the plan does not count
}
# Kernels that compute with these are packages of the Hub, which this app does not load: transformers dequantizes them.
_FP8: dict[str, Check] = {
    "activation_scheme": _is_one_of("dynamic", "static"),
    "fmt": _is_one_of("e4m3"),
    "scale_fmt": _is_one_of(None, "float"),
    "weight_block_size": _is_one_of(None, [128, 128]),
    "modules_to_not_convert": _are_patterns,
    "modules_to_convert": _is_off,
}
_MXFP4: dict[str, Check] = {"modules_to_not_convert": _are_patterns}
_DEQUANTIZED: dict[str, dict[str, Check]] = {"fp8": _FP8, "mxfp4": _MXFP4}
_METHODS: dict[str, dict[str, Check]] = {"gptq": _GROUPED, "awq": _AWQ, "bitsandbytes": _BITSANDBYTES} | _DEQUANTIZED
