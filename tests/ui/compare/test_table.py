"""The table of what was measured, its picture, and the sentence that sums it up."""

import csv
import io
from dataclasses import replace
from itertools import pairwise

import pytest

from models.domain.results.figures import OF_MODES
from models.domain.results.measured import Measured
from models.domain.results.suggestion import suggest_mode
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare.charts import LABEL_PX
from ui.compare.pictures import pictures
from ui.compare.render import suggestion
from ui.compare.table import modes_table, of_modes

BF16 = Measured("m@bf16", True, 269_000_000, 270_000_000, 9e8, 0.4, 0.2, 17.0, 12.0, 1.0, 1.0, 0.0, None, 64)
NF4 = Measured("m@nf4", False, 111_000_000, 112_000_000, 8e8, 2.7, 0.2, 28.4, 12.5, 1.1, 0.9, 0.08, 3, 64)
POOR = replace(NF4, variant="m@fp4", predicted_bytes=100_000_000, perplexity=15.0)
GGUF = replace(NF4, variant="m@gguf", measured_bytes=97_000_000, predicted_bytes=98_000_000, note="dequantized")
FAILED = Measured("m@int8", error="It does not fit.")


def conclusion(rows):
    return suggestion(suggest_mode(rows))


def chart(rows):
    return pictures(of_modes(rows))


def test_a_table_has_a_row_for_each_and_headings_that_explain():
    markup = Markup(modes_table([BF16, NF4, FAILED, GGUF]))
    assert "bf16 (reference)" in markup.text
    assert "12.500" in markup.text
    assert "It does not fit." in markup.text
    assert "gguf *" in markup.text
    assert "* dequantized" in markup.text
    assert {figure.explained for figure in OF_MODES} <= set(markup.values("title"))
    assert modes_table([]) == ""


def test_the_table_carries_its_files():
    markup = Markup(modes_table([BF16, NF4, FAILED]))
    (text,), (markdown,) = markup.values("data-csv"), markup.values("data-markdown")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["variant"] for row in rows] == ["m@bf16", "m@nf4", "m@int8"]
    assert float(rows[1]["perplexity"]) == 12.5
    assert len(markdown.splitlines()) == 5


@pytest.mark.parametrize("field", ["variant", "note", "error", "answer"])
def test_rows_are_escaped(field):
    rows = [BF16, replace(NF4, **{field: EVIL})]
    for html in (modes_table(rows), chart(rows), conclusion(rows)):
        assert is_harmless(html)


def test_the_conclusion_is_the_smallest_that_is_good_enough():
    text = Markup(conclusion([BF16, NF4, POOR, FAILED])).text
    assert text.startswith("nf4 is good enough: 112 MB instead of 270 MB, perplexity 12.50 (+4.2%), 28.4 tok/s instead")
    assert "at most 5% above that of bf16 (12.00)" in text
    smaller = Markup(conclusion([BF16, NF4, GGUF])).text
    assert smaller.startswith("gguf is good enough: 97 MB")


def test_when_nothing_smaller_is_good_enough():
    assert Markup(conclusion([BF16, POOR])).text.startswith("Nothing smaller is as good: keep bf16, 270 MB")


@pytest.mark.parametrize("rows", [[], [BF16], [BF16, FAILED], [FAILED], [NF4, POOR]])
def test_no_conclusion_without_a_reference_and_another(rows):
    assert conclusion(rows) == ""


def test_the_chart_shows_every_figure():
    markup = Markup(chart([BF16, NF4, POOR, FAILED]))
    assert "m@nf4: perplexity 12.500, 112 MB" in markup.values("title")
    assert "28.4 tok/s" in markup.text
    assert "int8" not in markup.text
    assert chart([BF16, FAILED]) == ""


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
