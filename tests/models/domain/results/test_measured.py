"""The table of measured modes, as people and as programs read it."""

import csv
import io
from dataclasses import replace

import pytest

from models.domain.results.figures import OF_MODES
from models.domain.results.measured import Measured
from models.domain.results.tables import CSV_OF_MODES, modes_to_csv, modes_to_markdown

REFERENCE = Measured("m@bf16", True, 269_000_000, 269_030_016, 600_000_000, 0.51, 0.2, 18.04, 12.3456, 0.91, 1.0, 0.0)
NF4 = Measured(
    "m@nf4",
    False,
    112_000_000,
    112_000_000,
    0,
    2.7,
    0.21,
    29.0,
    13.5,
    0.95,
    0.8123,
    0.0412,
    parts_at=2,
    answer_tokens=64,
)
BROKEN = Measured("m@int8", predicted_bytes=10, error="There was not enough memory | while loading.")


def cells(row):
    return {figure.heading: figure.text(row) for figure in OF_MODES}


def test_figures_have_units():
    assert cells(NF4) == {
        "predicted": "112 MB",
        "measured": "112 MB",
        "peak": "",
        "load": "2.70 s",
        "TTFT": "0.21 s",
        "decode": "29.0 tok/s",
        "perplexity": "13.500",
        "bits/byte": "0.950",
        "agreement": "81.2%",
        "KL": "0.0412",
        "parts at": "token 3",
    }


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (REFERENCE, ""),
        (replace(NF4, parts_at=None), "never in 64"),
        (replace(NF4, parts_at=0), "token 1"),
        (Measured("m@nf4"), ""),
        (BROKEN, ""),
    ],
)
def test_where_answers_part(row, text):
    assert cells(row)["parts at"] == text


def test_markdown_has_a_row_a_mode_and_says_what_failed():
    lines = modes_to_markdown([REFERENCE, NF4, BROKEN]).splitlines()
    assert len(lines) == 5
    assert {line.replace("\\|", "").count("|") for line in lines} == {len(OF_MODES) + 2}
    assert "| `m@nf4` | 112 MB |" in lines[3]
    assert "not enough memory \\| while loading" in lines[4]


def test_csv_has_whole_figures():
    rows = list(csv.DictReader(io.StringIO(modes_to_csv([REFERENCE, NF4, BROKEN]))))
    assert list(rows[0]) == list(CSV_OF_MODES)
    assert (rows[0]["measured_bytes"], rows[0]["perplexity"], rows[0]["reference"]) == ("269030016", "12.3456", "True")
    assert (rows[1]["parts_at"], rows[2]["perplexity"], rows[2]["error"]) == ("2", "", BROKEN.error)


@pytest.mark.parametrize("start", ["=1+1", "+cmd", "-2", "@sum"])
def test_a_spreadsheet_computes_nothing_of_it(start):
    assert f"'{start}" in modes_to_csv([Measured(start)])
