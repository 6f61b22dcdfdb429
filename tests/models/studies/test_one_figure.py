"""One variant has one headline memory figure, "must be free", in every list, plan, table and file."""

import csv
import io
import json

import pytest

from models import __main__ as command_line
from models.domain.messages import Sampling
from models.domain.request import CompareRequest
from models.domain.results.comparison import Comparison
from models.domain.results.file import from_json, to_json
from models.domain.results.report import to_csv, to_markdown
from models.domain.units import size
from models.domain.variant import Variant
from models.studies.compare import compare
from ui.api import row
from ui.compare.candidates import Target, chips, find_candidates
from ui.compare.state import View
from ui.compare.table import rows_of, table

SMOLLM2 = "smollm2-135m-instruct"
SPELLED = [f"{SMOLLM2}@gguf", f"{SMOLLM2}@nf4+pirate"]


@pytest.fixture(scope="module")
def compared(runtime):
    variants = tuple(map(Variant.parse, SPELLED))
    request = CompareRequest.of(variants, "Hi", sampling=Sampling(max_new_tokens=2, temperature=0))
    *_, whole = compare(runtime, request)
    assert isinstance(whole, Comparison)
    return whole


def test_the_same_bytes_must_be_free_wherever_a_variant_stands(runtime, compared, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "Runtime", lambda settings: runtime)
    rows = csv.DictReader(io.StringIO(to_csv(compared)))
    opened = from_json(to_json(compared))
    for spelling, column, cells, again in zip(SPELLED, compared.columns, rows, opened.columns, strict=True):
        variant = Variant.parse(spelling)
        needed = runtime.plan(variant).needed
        offers = runtime.describe(runtime.card(variant), variant.adapters).plans
        assert command_line.main(["plan", spelling, "--json"]) == 0
        assert {
            needed,
            offers[variant.quantization].needed,
            column.needed,
            again.needed,
            int(cells["needed"]),
            row(column)["needed"],
            json.loads(capsys.readouterr().out)["needed"],
        } == {needed}
        assert command_line.main(["plan", spelling]) == 0
        for shown in (
            capsys.readouterr().out,
            to_markdown(compared),
            table(rows_of(compared.columns), View(), {}),
            chips(find_candidates(runtime, SPELLED, Target())),
        ):
            assert size(needed) in shown
