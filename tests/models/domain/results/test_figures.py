"""The one table of figures: each is a field of its owner, and tables and files follow."""

from dataclasses import fields

import pytest

from models.domain.messages import Usage
from models.domain.results.comparison import Compared
from models.domain.results.figures import FIGURES, OF_COLUMNS, OF_MODES, in_files
from models.domain.results.measured import Measured
from models.domain.results.report import CSV_FIELDS
from models.domain.results.tables import CSV_OF_MODES


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.field)
def test_a_figure_is_a_field_of_its_owner_and_stands_in_the_files(figure):
    assert figure.field in {field.name for field in fields(figure.owner)} or isinstance(
        vars(figure.owner)[figure.field], property
    )
    assert figure.field in CSV_FIELDS
    assert bool(figure.heading) == bool(figure.meaning)


@pytest.mark.parametrize("shown", [OF_MODES, OF_COLUMNS])
def test_headings_tell_the_columns_of_a_table_apart(shown):
    headings = [figure.heading for figure in shown]
    assert len(set(headings)) == len(headings)


def test_csv_files_keep_their_order():
    assert CSV_OF_MODES == (
        "variant", "reference", "predicted_bytes", "measured_bytes", "peak_bytes", "load_s", "ttft_s",
        "decode_tokens_per_s", "perplexity", "bits_per_byte", "agreement", "divergence", "parts_at", "answer_tokens",
        "note", "error",
    )  # fmt: skip
    assert list(CSV_FIELDS) == [
        "variant", "resolved", "kind", "reference", *CSV_OF_MODES[2:-2], "engine", "prompt_tokens", "cached_tokens",
        "new_tokens", "context", "prefill_tokens_per_s", "wall_s", "seed", "finish", "predicted_peak",
        "parts_at_character", "tokenizer", "error", "answer",
    ]  # fmt: skip


def test_a_figure_is_read_where_it_is_measured():
    column = Compared("m", usage=Usage(peak_bytes=5_000_000, prefill_tokens_per_s=1234.5), predicted_peak=6_000_000)
    texts = {figure.field: figure.text(column) for figure in OF_COLUMNS}
    assert (texts["peak_bytes"], texts["predicted_peak"]) == ("5 MB", "6 MB")
    assert texts["prefill_tokens_per_s"] == "1,234 tok/s"
    assert (texts["decode_tokens_per_s"], texts["perplexity"], texts["finish"]) == ("", "", "")
    assert all(figure.text(Compared("m")) == "" for figure in OF_COLUMNS)
    assert [figure.value(Measured("m", load_s=2.0)) for figure in in_files(Measured) if figure.unit == "s"] == [
        2.0,
        None,
    ]
