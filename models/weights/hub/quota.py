"""What is left of a visitor's ZeroGPU quota, asked with their own token."""

from __future__ import annotations

from ...domain.errors import WeightsError
from ..sharing import Visit
from . import access
from .question import Question, ask


def seconds_left(visit: Visit) -> float | None:
    """GPU seconds; None without a token, where it may not read that, and where the Hub does not answer."""
    if visit.token is None or not access.hub_reachable(visit.settings):
        return None

    def work(question: Question) -> float:
        return float(question.api().get_zero_gpu_quota().remaining)

    try:
        return ask(work, visit.name, visit)
    except WeightsError:
        return None
