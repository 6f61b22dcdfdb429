"""The one object that the page, the API and the command line talk to."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial

from .answers import Answers
from .compute.gpu import relayed
from .domain.messages import Progress
from .domain.request import CompareRequest
from .domain.results.comparison import Comparison
from .domain.results.measured import Measured
from .studies.compare import Step, compare, paced
from .studies.measure import NEW_TOKENS, measure


class Runtime(Answers):
    """Answers of one variant at a time, and what several cost and are worth."""

    def compare(self, request: CompareRequest, token: str | None = None) -> Generator[Step, None, Comparison]:
        """One prompt to several variants: what happens to each column, and at the end the whole."""
        return compare(self, request, token)

    def comparing(
        self, request: CompareRequest, stop: threading.Event | None = None, token: str | None = None
    ) -> AsyncGenerator[Step | Comparison, None]:
        """The same for an event loop, with about ten deltas a second and column; the last item is the Comparison."""
        return relayed(partial(paced, partial(self.compare, request, token)), stop)

    def measure(
        self,
        model: str,
        modes: Sequence[str],
        text: str,
        reference: str = "",
        new_tokens: int | None = None,
        token: str | None = None,
    ) -> Generator[Progress | Measured, None, None]:
        """What modes of a model cost and are worth: progress, and one Measured a mode, the reference first."""
        new_tokens = min(NEW_TOKENS, self.settings.max_new_tokens) if new_tokens is None else new_tokens
        return measure(self, model, modes, text, reference, new_tokens, token)

    def measuring(
        self,
        model: str,
        modes: Sequence[str],
        text: str,
        reference: str = "",
        stop: threading.Event | None = None,
        token: str | None = None,
    ) -> AsyncGenerator[Progress | Measured, None]:
        """The same for an event loop; setting `stop` ends it after the row's current step."""
        return relayed(partial(self.measure, model, modes, text, reference, token=token), stop)
