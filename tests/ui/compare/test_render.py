"""Variants side by side: what is drawn of answers, figures, plans and votes, with nothing from outside as markup."""

import csv
import io
from dataclasses import replace

import pytest

from models.domain.messages import Message, Usage
from models.domain.results.comparison import Compared, Comparison, agreeing_prefix
from models.domain.results.figures import OF_COLUMNS
from models.domain.results.file import from_json
from models.domain.results.measured import Measured
from models.domain.results.ranking import Vote, rank
from models.domain.results.suggestion import Said, Suggestion
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare import ranking as render_ranking
from ui.compare import render as render_compare
from ui.compare.pictures import pictures
from ui.compare.results import results
from ui.compare.state import Shown, View, ended
from ui.compare.table import footer, rows_of

ANSWER = "A bicycle stays upright because its wheels steer into a fall."
WORSE = "A bicycle stays upright because of gyroscopes."


def column(variant, answer, perplexity=12.0, **other):
    usage = Usage(variant, "transformers", 38, 0, 12, 2048, 0.2, 181.2, 17.0, 3.1, 1.2, 812_000_000, 7, "length")
    figures = Measured(variant, False, 269_000_000, 270_000_000, perplexity=perplexity, bits_per_byte=1.0)
    given = {"answer": answer, "usage": usage, "figures": figures, "tokenizer": "t", "needed": 1_100_000_000}
    return Compared(variant, variant, **{**given, **other})


BF16 = column("m@bf16", ANSWER)
NF4 = column("m@nf4", WORSE, 12.5, parts_at_character=agreeing_prefix(ANSWER, WORSE))
FAILED = Compared("m@int8", error="It does not fit.")
COMPARISON = Comparison(("Why?",), (BF16, NF4, FAILED), "2026-01-02T03:04:05+00:00", reference="m@bf16")
RANKED = rank([*[Vote(("m@bf16", "m@nf4"), "m@bf16")] * 3, Vote(("m@bf16", "m@nf4"), "m@nf4")])


def test_the_footer_has_the_figures_and_what_they_mean():
    markup = Markup(footer(NF4))
    for words in ("1.20 s", "0.20 s", "181 tok/s", "≈ 17 tok/s", "38 tokens", "12 tokens", "812 MB", "1.1 GB",
                  "cut at the limit", "12.500", "1.000"):  # fmt: skip
        assert words in markup.text
    assert "agreement" not in markup.text
    meanings = {figure.heading: figure.explained for figure in OF_COLUMNS}
    assert {meanings["TTFT"], meanings["prefill"], meanings["peak"]} <= set(markup.values("title"))
    assert f"{meanings['decode']}; ≈ 17 tok/s, an estimate from 12 tokens" in markup.values("title")
    assert footer(FAILED) == ""
    noted = replace(NF4, figures=replace(NF4.figures, note="dequantized", error="Not scored."))
    assert "dequantized" in footer(noted)
    assert "Not scored." in footer(noted)


def shown(comparison=COMPARISON, **view):
    return replace(ended(Shown(), comparison), view=View(**view))


def test_the_table_has_all_figures_and_its_files():
    markup = Markup(results(shown(all_figures=True), 0.05))
    assert "bf16 reference" in markup.text
    assert "It does not fit." in markup.text
    titles = [title.partition("; the reference is ")[0] for title in markup.values("title")]
    assert {figure.explained for figure in OF_COLUMNS if figure.field != "needed"} <= set(titles)
    assert any(title.endswith("; the reference is bf16") for title in markup.values("title"))
    (text,), (rows,), (report,) = (markup.values(f"data-{form}") for form in ("json", "csv", "markdown"))
    assert from_json(text) == COMPARISON
    assert [row["variant"] for row in csv.DictReader(io.StringIO(rows))] == ["m@bf16", "m@nf4", "m@int8"]
    assert report.startswith("# 3 variants compared\n\n")


def charts(columns, reference="", quality="perplexity"):
    return pictures(rows_of(columns, reference), quality)


def test_names_are_as_short_as_tells_them_apart():
    assert render_compare.labels([BF16, NF4]) == ["bf16", "nf4"]
    assert render_compare.labels([BF16, Compared("n@nf4+a:0.5")]) == ["m@bf16", "n@nf4+a:0.5"]
    assert render_compare.labels([Compared("m@nf4+a:0.5"), Compared("m@nf4")]) == ["nf4+a:0.5", "nf4"]
    assert render_compare.labels([Compared("m@gguf"), Compared("n@gguf")]) == ["m", "n"]
    assert render_compare.labels([Compared("m", "m@bf16"), Compared("m@bf16", "m@bf16")]) == ["m", "m@bf16"]


def test_the_charts_show_every_figure():
    markup = Markup(charts([BF16, NF4, FAILED], "m@bf16"))
    assert "m@nf4: perplexity 12.500, 270 MB" in markup.values("title")
    assert "m@nf4: weights 270 MB measured, 269 MB predicted" in markup.values("title")
    assert {"point reference c1", "point c2"} <= set(markup.values("class"))
    assert "≈ 17 tok/s" in markup.text
    assert "int8" not in markup.text
    assert charts([BF16, FAILED]) == ""
    other = charts([BF16, NF4], quality="bits_per_byte")
    assert "Bits per byte against memory" in Markup(other).text


def test_charts_of_what_was_not_scored_or_measured():
    bare = [replace(one, usage=None, figures=Measured("")) for one in (BF16, NF4)]
    assert charts(bare) == ""
    planned = [replace(one, figures=Measured("", predicted_bytes=5_000_000)) for one in bare]
    assert "5 MB predicted" in Markup(charts(planned)).text


def test_long_names_are_cut_beside_points_and_stand_above_bars():
    name = "owner/a-very-long-name-of-a-model@nf4"
    markup = Markup(charts([BF16, replace(NF4, variant=name, resolved="")]))
    assert "bars stacked" in markup.values("class")
    assert "owner/a-very…f-a-model@nf4" in markup.text
    assert f"{name}: perplexity 12.500, 270 MB" in markup.values("title")


def test_suggestion():
    said, why = Said("{a} it.", {"a": "<b>"}), Said("The rule.", {})
    html = render_compare.suggestion(Suggestion((said, said), why, "m"))
    assert Markup(html).text == "<b> it. <b> it.WhyThe rule."
    assert render_compare.suggestion(None) == ""


def test_ranking():
    markup = Markup(render_ranking.ranking(RANKED))
    assert "Too few votes to tell m@bf16 from m@nf4." in markup.text
    assert "3 of 4" in markup.text
    assert "1074" in markup.text
    sure = rank([Vote(("m@bf16", "m@nf4"), "m@bf16")] * 30)
    assert "m@bf16 is ahead of all others." in render_ranking.ranking(sure)
    assert "No votes yet" in render_ranking.ranking([])


def evil_column():
    return replace(
        NF4,
        answer=EVIL,
        prompt=EVIL,
        turns=(Message("user", EVIL),),
        tokenizer=EVIL,
        parts_at_character=3,
        usage=replace(NF4.usage, variant=EVIL, engine=EVIL, finish=EVIL),
        figures=replace(NF4.figures, variant=EVIL, note=EVIL, error=EVIL),
    )


@pytest.mark.parametrize("error", ["", EVIL])
def test_nothing_from_outside_is_markup(error):
    evil = replace(evil_column(), error=error)
    whole = Comparison((EVIL,), (BF16, evil), COMPARISON.created, EVIL, reference=EVIL, text=EVIL,
                       versions={EVIL: EVIL}, machine={EVIL: [EVIL]})  # fmt: skip
    drawn = [
        results(shown(whole), 0.05),
        footer(evil),
        charts([BF16, evil], EVIL),
        render_compare.suggestion(Suggestion((Said(EVIL, {}),), Said(EVIL, {}))),
        render_ranking.ranking([replace(row, variant=EVIL) for row in RANKED]),
    ]
    for html in drawn:
        assert is_harmless(html), html
    (text,) = Markup(drawn[0]).values("data-json")
    assert EVIL in text.encode().decode("unicode_escape")
