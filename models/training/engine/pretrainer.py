"""A decoder of our own trained on rows of token ids; a run that was cut off ends with the bytes of one that was not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ...domain.errors import PretrainingStopped
from ...domain.messages import Progress
from ...domain.pretraining import Loss
from ...domain.training_events import Said
from ...engines.transformers.engine_thread import computed
from .decoder_run import Pretraining, Run, write

OnProgress = Callable[[Progress], None]
WEIGHTS = "model.safetensors"
SAVE_S, SHOW_S = 30.0, 1.0
_MEASURED_S = 4.0  # of training, before a run of some minutes, to know how many tokens they are
_BESIDE = 0.9  # of those minutes that are training, and not looks


@dataclass(frozen=True)
class Pretrained:
    """Losses in nats a token; `after` is over all held-out rows."""

    before: float
    after: float
    losses: tuple[Loss, ...]
    steps: int
    tokens: int
    parameters: int
    tokens_per_s: float
    peak: float
    peak_flops: float
    samples: tuple[str, ...]


def tokens_in(training: Pretraining, seconds: float, on_progress: OnProgress) -> int:
    """How many tokens a run of so many seconds has, by a few seconds of training that leave nothing."""

    def measure() -> int:
        run = Run(replace(training, tokens=1))
        run.step(next(run.batches()))  # the first is slower
        began, tokens = time.perf_counter(), 0
        for batch in run.batches():
            tokens += run.step(batch)
            if (took := time.perf_counter() - began) > min(_MEASURED_S, seconds / 4):
                break
        return max(1, int(tokens / took * seconds * _BESIDE))

    on_progress(Progress("train", detail="measuring the speed"))
    return computed(measure, training.threads, during="while training")


def learn(training: Pretraining, out: Path, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Pretrained:
    """Train, from any thread, and write the weights to `out`; goes on from the checkpoint in `rows` if there is one.

    Raises PretrainingStopped within a step of `cancelled`, PretrainingDiverged, OutOfMemory, EngineFailed, OSError.
    """
    job = partial(_learn, training, out, on_progress, cancelled)
    return computed(job, training.threads, during="while training")


def _learn(training: Pretraining, out: Path, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Pretrained:
    run = Run(training)
    run.load()
    peak_flops = run.matmul_flops()
    said = {"matmul_flops": peak_flops, "precision": training.precision, "parameters": run.parameters}
    line = f"{run.parameters:,} parameters, {training.precision}, a matmul peak of {peak_flops / 1e9:,.0f} GFLOP/s"
    on_progress(Said("train", detail=line, facts=said))
    if not run.losses:
        run.look(on_progress)
    began = shown = saved = time.perf_counter()
    first, speed, paused = run.tokens, 0.0, 0.0
    for batch in run.batches():
        if run.tokens >= training.tokens:
            break
        if cancelled():
            run.save()
            raise PretrainingStopped(step=run.steps, steps=run.expected_steps)
        run.step(batch)
        now = time.perf_counter()
        speed = (run.tokens - first) / (now - began - paused)
        if now - shown > SHOW_S:
            shown = now
            on_progress(run.shown(speed, speed * run.flops / peak_flops))
        if run.look_is_due():
            run.look(on_progress)
        if now - saved > SAVE_S:
            run.save()
            saved = time.perf_counter()
        paused += time.perf_counter() - now
    after = run.held_out_loss(len(run.held_out))
    if not math.isfinite(after):
        raise run.diverged()
    write(run.weights(), out / WEIGHTS, {"format": "pt"})
    samples = tuple(run.sample(number) for number in range(min(3, len(run.held_out))))
    return Pretrained(
        run.losses[0].held_out,
        after,
        tuple(run.losses),
        run.steps,
        run.tokens,
        run.parameters,
        speed,
        speed * run.flops / peak_flops,
        peak_flops,
        samples,
    )
