"""The table of what was compared, its picture, and the sentence that sums it up."""

from dataclasses import replace
from itertools import pairwise

import pytest

from models.domain.results.comparison import Compared, Comparison
from models.domain.results.measured import Measured
from models.domain.results.suggestion import suggest
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare.charts import LABEL_PX
from ui.compare.pictures import pictures
from ui.compare.render import suggestion
from ui.compare.table import columns_table, of_columns

BF16 = Measured("m@bf16", True, 269_000_000, 270_000_000, 9e8, 0.4, 0.2, 17.0, 12.0, 1.0, 1.0, 0.0, None, 64)
NF4 = Measured("m@nf4", False, 111_000_000, 112_000_000, 8e8, 2.7, 0.2, 28.4, 12.5, 1.1, 0.9, 0.08, 3, 64)
GGUF = replace(NF4, variant="m@gguf", measured_bytes=97_000_000, predicted_bytes=98_000_000, note="dequantized")


def columns(rows):
    return tuple(Compared(row.variant, row.variant, figures=row, tokenizer="t", needed=860_000_000) for row in rows)


def table(rows):
    return columns_table(Comparison(("Why?",), columns(rows), "2026-01-02T03:04:05+00:00", reference="m@bf16"))


def chart(rows):
    return pictures(of_columns(columns(rows), "m@bf16"))


def conclusion(rows):
    return suggestion(suggest(columns(rows), "m@bf16", 0.05))


def test_notes_stand_under_the_table():
    markup = Markup(table([BF16, NF4, GGUF]))
    assert "gguf *" in markup.text
    assert "* dequantized" in markup.text
    assert "860 MB" in markup.text


@pytest.mark.parametrize("field", ["note", "answer"])
def test_rows_are_escaped(field):
    rows = [BF16, replace(NF4, **{field: EVIL})]
    for html in (table(rows), chart(rows), conclusion(rows)):
        assert is_harmless(html)


def test_labels_of_equal_points_do_not_cover_each_other():
    rows = [BF16, *(replace(NF4, variant=f"m@nf4-{number}") for number in range(4))]
    places = [
        float(style.split("bottom:")[1].removesuffix("px"))
        for style in Markup(chart(rows)).values("style")
        if style.endswith("px") and "bottom:" in style
    ]
    close = sorted(places)[:4]
    assert all(later - earlier >= LABEL_PX for earlier, later in pairwise(close))


def test_a_row_without_speed_or_with_a_wild_perplexity_is_drawn():
    rows = [BF16, replace(NF4, perplexity=1e9, decode_tokens_per_s=None)]
    assert "nf4–" in Markup(chart(rows)).text
    assert conclusion(rows)
