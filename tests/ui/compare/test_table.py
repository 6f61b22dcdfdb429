"""The table of a comparison: what it shows, how it sorts, what is best, and what fits."""

from dataclasses import replace
from itertools import pairwise

import pytest

from models.domain.messages import Usage
from models.domain.results.comparison import Compared
from models.domain.results.measured import Measured
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare.actions import after
from ui.compare.charts import LABEL_PX
from ui.compare.pictures import pictures
from ui.compare.state import Need, Shown, View
from ui.compare.table import rows_of, table


def column(mode, bytes_, perplexity, speed, **other):
    figures = Measured(
        f"m@{mode}",
        measured_bytes=bytes_,
        ttft_s=0.2,
        decode_tokens_per_s=speed,
        perplexity=perplexity,
        bits_per_byte=1.0,
    )
    return Compared(f"m@{mode}", f"m@{mode}", figures=figures, tokenizer="t", answer="A.", **other)


BF16, NF4, GGUF = column("bf16", 270, 12.0, 17.0), column("nf4", 112, 12.5, 28.4), column("gguf", 97, 12.1, 9.5)
FAILED = Compared("m@int8", "m@int8", error="It broke.")
NEEDS = [Need(860_000_000, True), Need(762_000_000, True, tight=True), Need(554_000_000, False), None]
ROWS = rows_of([BF16, NF4, GGUF, FAILED], "m@bf16", NEEDS)


def names(view):
    rows = table(ROWS, view, {}).split("<tbody>")[1].split('<th scope="row"')[1:]
    return [Markup(f"<th {row.split('</th>')[0]}").text.replace(" ", "") for row in rows]


def test_few_figures_are_shown_and_all_where_that_is_wanted():
    few = Markup(table(ROWS, View(), {})).text
    for words in ("must be free", "860 MB", "decode", "17.0 tok/s", "TTFT", "perplexity", "12.500", "marked right"):
        assert words in few
    assert "bits/byte" not in few
    assert "bits/byte" in Markup(table(ROWS, View(all_figures=True), {})).text


def test_a_lower_bound_is_not_the_best_and_engines_are_named_where_they_differ():
    exact = replace(BF16, figures=replace(BF16.figures, divergence=0.02), usage=Usage(engine="transformers"))
    bound = replace(GGUF, figures=replace(GGUF.figures, divergence=0.01, divergence_at_least=True))
    html = table(rows_of([exact, replace(bound, usage=Usage(engine="llama.cpp"))]), View(), {})
    assert "≥ 0.0100" in html
    assert "<b>≥" not in html
    assert "at least: llama.cpp tells" in html
    assert ">transformers<" in html
    assert ">llama.cpp<" in html
    same = table(rows_of([exact, replace(bound, usage=Usage(engine="transformers"))]), View(), {})
    assert ">transformers<" not in same


def test_what_fits_the_chosen_hardware():
    text = Markup(table(ROWS, View(), {}, "NVIDIA L4")).text
    assert "860 MByes" in text
    assert "762 MBtight" in text
    assert "554 MBno" in text
    assert any("NVIDIA L4" in title for title in Markup(table(ROWS, View(), {}, "NVIDIA L4")).values("title"))


def test_best_values_are_bold_and_equal_ones_are_not():
    html = table(ROWS, View(), {})
    bold = [part.split("</b>")[0] for part in html.split("<b>")[1:]]
    assert bold == ["12.000", "28.4 tok/s", "554 MB"]  # row by row; all have the same TTFT


@pytest.mark.parametrize(
    ("presses", "order"),
    [
        (["decode_tokens_per_s"], ["nf4", "bf16reference", "gguf", "int8"]),
        (["decode_tokens_per_s"] * 2, ["gguf", "bf16reference", "nf4", "int8"]),
        (["perplexity"], ["bf16reference", "gguf", "nf4", "int8"]),
        (["needed"], ["gguf", "nf4", "bf16reference", "int8"]),
        (["fits"], ["bf16reference", "nf4", "gguf", "int8"]),
        (["name"], ["bf16reference", "gguf", "nf4", "int8"]),
        (["nosuch"], ["bf16reference", "nf4", "gguf", "int8"]),
    ],
)
def test_a_press_on_a_heading_sorts_the_best_first_and_the_next_turns_it_round(presses, order):
    shown = Shown()
    for press in presses:
        shown = after(shown, f"sort-{press}")
    assert names(shown.view) == order


def test_a_heading_tells_how_it_sorts():
    markup = Markup(table(ROWS, after(Shown(), "sort-ttft_s").view, {}))
    assert markup.values("aria-sort").count("ascending") == 1
    assert "sort-ttft_s" in markup.values("data-press")


@pytest.mark.parametrize("field", ["note", "error", "variant"])
def test_rows_are_escaped(field):
    evil = replace(NF4, figures=replace(NF4.figures, **{field: EVIL}), error=EVIL if field == "error" else "")
    rows = rows_of([BF16, evil], "m@bf16", names=[EVIL, EVIL])
    for html in (table(rows, View(all_figures=True), {"csv": EVIL}, EVIL), pictures(rows)):
        assert is_harmless(html)


def test_labels_of_equal_points_do_not_cover_each_other():
    rows = rows_of([BF16, *(column(f"nf4-{number}", 112, 12.5, 28.4) for number in range(4))])
    places = [
        float(style.split("bottom:")[1].removesuffix("px"))
        for style in Markup(pictures(rows)).values("style")
        if style.endswith("px") and "bottom:" in style
    ]
    close = sorted(places)[:4]
    assert all(later - earlier >= LABEL_PX for earlier, later in pairwise(close))


def test_a_row_without_speed_or_with_a_wild_perplexity_is_drawn():
    assert "nf4–" in Markup(pictures(rows_of([BF16, column("nf4", 112, 1e9, None)]))).text
