"""What the plan predicts against what a load really takes, for every mode that runs here."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.domain.quantization import MODES
from models.domain.units import size
from tests.models.test_prediction import ALL, CACHES, CONTEXT, MACHINE, RANDOM, figures, random_figures

from .report import Row, Target, print_rows


def _of_random_weights(few: bool) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """A hybrid and a mixture of experts, which no package carries."""
    for model, name in RANDOM[::2] if few else RANDOM:
        with tempfile.TemporaryDirectory() as folder:
            yield model, name, CONTEXT, random_figures(model, name, Path(folder))


def memory(few: bool) -> None:
    """A row for the weights and one for the peak of each model and mode, each in a process of its own."""
    cases = [(model, name, CONTEXT) for model, name in ALL if set(MODES[name].packages) <= MACHINE.packages] + CACHES
    measured = ((*case, figures(*case)) for case in (cases[:2] if few else cases))
    rows = []
    for model, name, context, found in itertools.chain(_of_random_weights(few), measured):
        for what, tolerance in (("weights", 0.02), ("peak", 0.10)):
            planned, measured = found["planned"][what], found[what]
            figure = f"{size(planned)} planned, {size(measured)} measured"
            target = Target("<=", tolerance)
            off = abs(planned / measured - 1)
            rows.append(Row(f"{model}@{name} {what} at {context:,} tokens", figure, planned / measured, target, off))
    print_rows(rows)
