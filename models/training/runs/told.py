"""A training as plain data, for programs and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .events import Loss
from .trainings import Training


def brief(training: Training) -> dict[str, Any]:
    """Where it is: losses in nats a token, `seconds_left` an estimate, `variant` what is picked once it is there."""
    asked, seen = training.asked, training.seen
    step = seen.step
    return {
        "name": asked.name,
        "base": asked.base,
        "variant": str(asked.variant),
        "data": asked.data,
        "status": training.status,
        "error": training.error,
        "resumable": training.resumable,
        "doing": "" if step or not seen.progress else " ".join((seen.progress.stage, seen.progress.detail)).strip(),
        "step": int(step.done) if step else (seen.learning[-1].step if seen.learning else 0),
        "steps": int(step.total or 0) if step else 0,
        "tokens_per_s": round(step.tokens_per_s, 1) if step else 0.0,
        "seconds_left": round(step.seconds_left, 1) if step and training.status == "running" else 0.0,
        "loss": seen.learning[-1].value if seen.learning else None,
        "held_out": seen.held_out[-1].value if seen.held_out else None,
        "held_out_before": seen.held_out[0].value if seen.held_out else None,
    }


def whole(training: Training) -> dict[str, Any]:
    """The same with settings, both curves as [step, tokens, loss], samples, memory, warnings and the report."""
    asked, seen = training.asked, training.seen
    samples = [
        {"asked": asked, "step": step, "text": text}
        for asked, texts in seen.samples.items()
        for step, text in sorted(texts.items())
    ]
    return brief(training) | {
        "settings": asdict(asked.settings),
        "columns": dict(asked.columns),
        "rows": seen.rows,
        "memory": seen.memory,
        "learning": _points(seen.learning),
        "looks": _points(seen.held_out),
        "samples": samples,
        "warnings": seen.said,
        "report": seen.report,
    }


def _points(losses: Sequence[Loss]) -> list[list[float]]:
    return [[loss.step, loss.tokens, loss.value] for loss in losses]
