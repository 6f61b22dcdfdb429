"""What an operator reads as the app starts: the hardware, the modes that work on it, and what is missing."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping

from .domain import quantization
from .domain.errors import PaddockError
from .domain.settings import unknown
from .domain.units import size
from .domain.variant import Variant
from .engines.device import gpu_memory, on_zero_gpu
from .runtime import Runtime
from .weights import sources
from .weights.hub.access import hub_reachable
from .weights.hub.revisions import cache_folder


def log_runs() -> None:
    """Print a line of JSON for each run; the command line does not."""
    runs = logging.getLogger("paddock.runs")
    runs.setLevel(logging.INFO)
    runs.addHandler(logging.StreamHandler(sys.stdout))
    runs.propagate = False


def report(runtime: Runtime, env: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Lines for the log; the last may take as long as the Hub takes to answer."""
    settings, machine = runtime.settings, runtime.machine
    yield f"Hardware: {_hardware(runtime)}"
    card = runtime.card(Variant.parse(settings.default_variant)) if not _of_hub(runtime) else None
    if card is not None:
        modes = quantization.modes_of(card)
        refused = {mode.name: why for mode in modes if (why := quantization.why_not(mode, card, machine, ()))}
        yield f"Modes of {card.key}: {', '.join(mode.name for mode in modes if mode.name not in refused)}"
        reasons: dict[str, list[str]] = {}
        for name, why in refused.items():
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            yield f"Not here: {', '.join(names)}, since {why}"
    cache = next(folder for folder in (cache_folder(), *cache_folder().parents) if folder.exists())
    yield f"Disk: {size(shutil.disk_usage(cache).free)} are free for models"
    for name, meant in unknown(env).items():
        yield f"{name} is no setting{f': is {meant} meant?' if meant else ', and does nothing'}"
    if settings.gated_models and not env.get("HF_TOKEN"):
        yield "PADDOCK_GATED_MODELS is set, and HF_TOKEN is not: visitors reach these models with their own token only"
    if not hub_reachable(settings):
        yield "The Hugging Face Hub cannot be reached: only models that are here, or come as packages, can be used"


def starts_beside(runtime: Runtime) -> bool:
    """Whether the default is here and llama.cpp computes it: its process comes up while this one imports the page."""
    if _of_hub(runtime):
        return False
    variant = Variant.parse(runtime.settings.default_variant)
    card = runtime.card(variant)
    try:
        mode = runtime.resolve(variant, card)[1]
    except PaddockError:
        return False
    here = quantization.card_for(mode, card)
    return mode.form == "gguf" and sources.locate(here, "gguf", runtime.settings) is not None


def _of_hub(runtime: Runtime) -> bool:
    """Whether the default is no entry of the catalog: what it can do is known once it is here."""
    return Variant.parse(runtime.settings.default_variant).is_hub_id


def _hardware(runtime: Runtime) -> str:
    budget, accelerator = runtime.planner.budget(), runtime.machine.accelerator
    if on_zero_gpu():
        return f"ZeroGPU, a GPU with {runtime.settings.gpu_memory_gb:g} GB for each press"
    gpu = gpu_memory() if accelerator == "cuda" else None
    name = f"{accelerator.upper()}, {gpu.name}" if gpu else accelerator.upper()
    threads = f", {runtime.settings.compute_threads} threads" if accelerator == "cpu" else ""
    return f"{name}{threads}, {size(max(0, budget.free))} for models"
