"""What an operator reads as the app starts: the hardware, the modes that work on it, and what is missing."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from . import loading
from .domain import quantization
from .domain.catalog import Catalog, load_catalog
from .domain.errors import HubIdsNotAllowed, PaddockError
from .domain.settings import Settings, unknown
from .domain.units import size
from .domain.variant import Variant
from .engines.device import gpu_memory, on_zero_gpu
from .packing import DEFAULT, NONE
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


def started(settings: Settings) -> Runtime:
    """The Runtime of an app; raises ValueError, which names the variable whose value cannot be used on this machine.

    Nothing is asked of the Hub.
    """
    for variable, folders in (
        ("PADDOCK_MODELS_DIR", filter(None, (settings.models_dir,))),
        ("PADDOCK_MODEL_FOLDERS", settings.model_folders),
    ):
        for folder in folders:
            if not Path(folder).expanduser().is_dir():
                raise ValueError(f"{variable}={folder!r} is no folder")
    with _named("PADDOCK_MODELS", ",".join(settings.models)):
        catalog = load_catalog().only(settings.models)
    with _named("PADDOCK_DEFAULT_VARIANT", settings.default_variant):
        _require_listed(Variant.parse(settings.default_variant), settings, catalog)
        runtime = Runtime(settings)
        _require_possible(Variant.parse(settings.default_variant), runtime)
    for name in settings.packed:
        if name not in (DEFAULT, NONE):
            with _named("PADDOCK_PACKED", name):
                _require_listed(Variant.parse(name), settings, catalog)
    return runtime


@contextmanager
def _named(variable: str, value: str) -> Iterator[None]:
    try:
        yield
    except PaddockError as error:
        raise ValueError(f"{variable}={value!r}: {error}") from None


def _require_listed(variant: Variant, settings: Settings, catalog: Catalog) -> None:
    """Raise UnknownModel or HubIdsNotAllowed for a model that nobody could pick."""
    if not variant.is_hub_id:
        catalog[variant.model]
    elif not (
        settings.hub_ids
        or settings.local_folder(variant.model)
        or variant.model in {card.hub_id for card in catalog.values()}
    ):
        raise HubIdsNotAllowed(model=variant.model)


def _require_possible(variant: Variant, runtime: Runtime) -> None:
    """Raise what keeps a listed model's variant from running, as far as it is known without the Hub."""
    if variant.is_hub_id or variant.quantization.startswith("gguf-"):  # it may have files that only the Hub knows
        return
    card = runtime.card(variant)
    if card.remote is None:
        runtime.resolve(variant.without_adapters, card)
        here = tuple(choice for choice in variant.adapters if "/" not in choice.name)
        loading.known_adapters(replace(variant, adapters=here), card, runtime.settings, None)


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
