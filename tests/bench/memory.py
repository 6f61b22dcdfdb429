"""What the plan predicts against what a load really takes, for every mode that runs here."""

from __future__ import annotations

from models.domain.quantization import MODES
from models.domain.units import size
from tests.models.test_prediction import ALL, MACHINE, figures

from .report import Row, Target, print_rows


def memory(few: bool) -> None:
    """A row for the weights and one for the peak of each model and mode, each in a process of its own."""
    cases = [(model, name) for model, name in ALL if set(MODES[name].packages) <= MACHINE.packages]
    rows = []
    for model, name in cases[:2] if few else cases:
        found = figures(model, name)
        for what, tolerance in (("weights", 0.02), ("peak", 0.10)):
            planned, measured = found["planned"][what], found[what]
            figure = f"{size(planned)} planned, {size(measured)} measured"
            target = Target("<=", tolerance)
            off = abs(planned / measured - 1)
            rows.append(Row(f"{model}@{name} {what}", figure, planned / measured, target, off))
    print_rows(rows)
