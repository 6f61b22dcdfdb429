"""Whether a pretraining fits into memory, said before anything of it is built."""

from __future__ import annotations

from ..domain.memory.pretraining_plan import HELD_OUT_AT_ONCE, Longest, pretraining_parts, rows_that_fit
from ..domain.memory.training_plan import TrainingPlan
from ..domain.units import size
from ..runtime import Runtime
from .engine.decoder_run import Pretraining
from .token_rows import HELD_OUT, TRAIN, Rows


def required(runtime: Runtime, training: Pretraining) -> TrainingPlan:
    """The plan of the largest step; raises DoesNotFit, which names what would fit, unless the operator overrides."""
    settings, budget = training.settings, runtime.planner.budget()
    most = max(settings.rows, HELD_OUT_AT_ONCE)
    longest = Longest(*(Rows(training.rows, split).longest(most) for split in (TRAIN, HELD_OUT)))
    shape, vocabulary = settings.shape, int(training.model["vocab_size"])

    def plan(rows: int) -> TrainingPlan:
        return TrainingPlan(pretraining_parts(shape, vocabulary, rows, longest), budget.free, budget.device)

    wanted = plan(settings.rows)
    if wanted.needed > wanted.free and not runtime.settings.load_anyway:
        fits = rows_that_fit(shape, vocabulary, settings.rows, longest, budget.free)
        suggestion = "Take a smaller --size, or leave long documents out (--max-tokens)."
        if fits:
            suggestion = f"Take fewer documents a step (--batch {fits}): {size(plan(fits).needed)}."
        raise wanted.too_large(f"Training {settings.size}", suggestion)
    return wanted
