"""The table of quantization modes: what each needs, and what `auto` means on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .catalog import ModelCard
from .errors import ModeNotPossible
from .snapshot import Form
from .variant import AUTO, Variant

Accelerator = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Mode:
    """How weights are held in memory."""

    name: str
    bits: float
    form: Form  # the files it is loaded from
    takes_adapters: bool
    accelerators: tuple[Accelerator, ...]
    summary: str


MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("fp32", 32, "safetensors", True, ("cpu", "cuda", "mps"), "full precision, the reference"),
        Mode("bf16", 16, "safetensors", True, ("cpu", "cuda", "mps"), "half the memory, nearly the same answers"),
        Mode("fp16", 16, "safetensors", True, ("cuda", "mps"), "half precision for GPUs without bf16"),
        Mode("int8", 8, "safetensors", True, ("cpu", "cuda"), "bitsandbytes LLM.int8"),
        Mode("nf4", 4.5, "safetensors", True, ("cpu", "cuda"), "bitsandbytes 4-bit NormalFloat, bf16 compute"),
        Mode("gguf", 4.5, "gguf", False, ("cpu", "cuda", "mps"), "llama.cpp on the model's GGUF file"),
    )
}


def why_not(mode: Mode, card: ModelCard, accelerator: Accelerator, adapters: bool) -> str:
    """The reason why this mode cannot run, or an empty string."""
    if accelerator not in mode.accelerators:
        return f"it needs {' or '.join(mode.accelerators)}, and this machine has {accelerator}"
    if mode.form == "gguf" and card.gguf is None and card.wheel is None:
        return "no GGUF file of it is known"
    if adapters and not mode.takes_adapters:
        return "it takes no LoRA adapters"
    return ""


def possible_modes(card: ModelCard, accelerator: Accelerator, adapters: bool = False) -> list[Mode]:
    """The modes that can run, in the order of the table."""
    return [mode for mode in MODES.values() if not why_not(mode, card, accelerator, adapters)]


def resolve(variant: Variant, card: ModelCard, accelerator: Accelerator) -> Mode:
    """The mode that a variant means here.

    `auto` is llama.cpp on a CPU when there is a GGUF and no adapter, else NF4; bf16 on CUDA; fp16 on MPS.
    Raises ModeNotPossible with the reason and what can run.
    """
    adapters = bool(variant.adapters)
    possible = [mode.name for mode in possible_modes(card, accelerator, adapters)]
    if variant.quantization == AUTO:
        wanted = {"cpu": ("gguf", "nf4"), "cuda": ("bf16",), "mps": ("fp16",)}[accelerator]
        return MODES[next(name for name in wanted if name in possible)]
    mode = MODES.get(variant.quantization)
    reason = f"there is no such mode; there are {', '.join(MODES)}" if mode is None else ""
    reason = reason or (why_not(mode, card, accelerator, adapters) if mode else "")
    if mode is None or reason:
        raise ModeNotPossible(
            model=card.key, mode=variant.quantization, reason=reason, possible=", ".join([AUTO, *possible])
        )
    return mode
