"""What a finetuning would take, over how many processes, in which mode of its base; what does not fit is refused."""

from __future__ import annotations

from ..domain.catalog import ModelCard
from ..domain.errors import BadProcesses, NotTrainable
from ..domain.memory.plan import WEIGHTS, LoadPlan, Part
from ..domain.memory.sharded_plan import WHOLE, loading_bytes, sharded_parts
from ..domain.memory.training_plan import TrainingPlan, smaller_batches, step_parts
from ..domain.training import TRAINABLE_MODES, TrainingSettings
from ..domain.units import size
from ..domain.variant import AUTO, Variant
from ..engines.device import memory
from ..runtime import Runtime
from ..system.ranks import Place


def shares(settings: TrainingSettings, mode: str, place: Place | None, copies: int) -> tuple[int, int]:
    """How many processes train, and how many copies of the base they hold; raises BadProcesses."""
    processes = place.size if place else 1
    copies = copies or (place.size // place.beside if place else 1)
    if processes % copies:
        raise BadProcesses(
            reason=f"{processes} processes cannot hold {copies} copies of the base in equal parts",
            suggestion="Give --copies that divide the number of processes.",
        )
    if settings.batch < processes:
        raise BadProcesses(
            reason=f"a batch of {settings.batch} rows has none for some of {processes} processes",
            suggestion=f"Give --batch {processes} or more; it is shared among them.",
        )
    if mode == "int8" and place:
        raise BadProcesses(
            reason="an int8 base is trained on in one process only",
            suggestion="Leave --processes out, or pick another --quantization: fp32, bf16, nf4.",
        )
    return processes, copies


def training_mode(runtime: Runtime, base: Variant, card: ModelCard, settings: TrainingSettings) -> str:
    """The mode to load the base in; `auto` is bf16 where a GPU computes it, else fp32."""
    asked = {name for name in (base.quantization, settings.quantization) if name != AUTO}
    if len(asked) > 1:
        reason = f"two quantizations were asked for, {' and '.join(sorted(asked))}"
        raise NotTrainable(model=str(base), reason=reason, suggestion="Name one of them.")
    gpu = runtime.machine.accelerator == "cuda" and runtime.machine.native_bf16
    full = settings.method == "full"
    mode = next(iter(asked), card.checkpoint or ("bf16" if gpu and not full else "fp32"))
    if full and mode != "fp32":
        raise NotTrainable(
            model=card.key,
            reason=f"weights in {mode} are too coarse to learn themselves",
            suggestion="Pick --quantization fp32, or train an adapter (--method lora).",
        )
    if full and base.adapters:
        raise NotTrainable(
            model=str(base),
            reason="adapters do not act while the model's own weights learn",
            suggestion="Merge them with `save` first, and train the result.",
        )
    if mode not in TRAINABLE_MODES:
        raise NotTrainable(
            model=card.key,
            reason=f"no gradients flow through weights in {mode}",
            suggestion=f"Pick another --quantization: {', '.join(TRAINABLE_MODES)}.",
        )
    return mode


def step_plan(
    runtime: Runtime,
    card: ModelCard,
    planned: LoadPlan,
    settings: TrainingSettings,
    longest: int,
    place: Place | None,
    copies: int,
) -> TrainingPlan:
    """The base and a step of training on the longest rows; raises DoesNotFit unless the operator overrides."""
    quantized = settings.quantization not in ("fp32", "bf16")  # whatever is not becomes fp32
    whole = sum(part.bytes for part in planned.parts if part.key in (*WEIGHTS, *WHOLE))
    widened = card.sizes.embedding_parameters * (2 if card.sizes.tied_embeddings else 4) if quantized else 0
    value_bytes = 2 if settings.quantization == "bf16" else 4
    checkpointed = runtime.machine.accelerator == "cuda"  # as the trainer does

    def plan(tried: TrainingSettings) -> TrainingPlan:
        if place:
            parts = sharded_parts(planned, card.sizes, tried, longest, widened, place.size, copies, checkpointed)
            beside = place.beside if runtime.machine.accelerator == "cpu" else 1
            return TrainingPlan(parts, planned.budget.free // beside, planned.budget.device)
        parts = (
            Part("base", "base", whole + widened),
            *step_parts(card.sizes, tried, longest, value_bytes, checkpointed),
        )
        return TrainingPlan(parts, planned.budget.free, planned.budget.device)

    if place:
        _require_main_memory(loading_bytes(card.sizes, settings, whole, place.beside), str(planned.variant), runtime)
    wanted, least = plan(settings), place.size if place else 1
    if wanted.needed > wanted.free and not runtime.settings.load_anyway:
        fits = next(
            (one for one in smaller_batches(settings) if plan(one).needed <= wanted.free and one.batch >= least), None
        )
        suggestion = "Take fewer tokens of a row (--max-tokens), or a smaller model."
        if fits:
            taken = size(plan(fits).needed)
            batch, apart = fits.batch, fits.accumulate
            suggestion = (
                f"Take batches of {batch} rows, {apart} to a step (--batch {batch} --accumulate {apart}): {taken}."
            )
        raise wanted.too_large(f"Training {planned.variant}", suggestion)
    return wanted


def _require_main_memory(needed: int, variant: str, runtime: Runtime) -> None:
    """Raise DoesNotFit where so much is not free in main memory, unless the operator overrides."""
    free = int(memory().free * runtime.settings.memory_fraction)
    if needed > free and not runtime.settings.load_anyway:
        suggestion = "Start fewer processes on a machine, or pick a smaller model."
        plan = TrainingPlan((Part("base", "base", needed),), free, "main memory")
        raise plan.too_large(f"Reading {variant} to train it over several processes", suggestion)
