"""What ZeroGPU gives and charges for a call: whole seconds of a size of GPU."""

from __future__ import annotations

from typing import Literal

from ..engines.device import on_zero_gpu


def gpu_size() -> Literal["large", "xlarge"]:
    """The size of GPU that ZeroGPU gives, which it decides by what was packed before the launch."""
    if not on_zero_gpu():
        return "large"
    from spaces.zero import default_gpu_size

    return default_gpu_size() or "large"


def duration_factor() -> float:
    """What `spaces` multiplies a declared duration with: slower hardware gives, and charges, so many times more."""
    if not on_zero_gpu() or gpu_size() == "xlarge":
        return 1.0
    from spaces.zero import config

    return config.get_config()["duration_factor"]


def charged_s(needed_s: float, most: int) -> int:
    """The fewest seconds that ZeroGPU can be asked for and that are enough, at most so many."""
    factor = duration_factor()
    declared = 1
    while round(declared * factor) < needed_s and round((declared + 1) * factor) <= most:
        declared += 1
    return round(declared * factor)


def declared_s(charged: int) -> int:
    """What to declare to `spaces`, so that it asks for the seconds of `charged_s`."""
    return round(charged / duration_factor())
