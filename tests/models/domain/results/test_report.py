"""A comparison as Markdown and CSV: all of it, and nothing from outside becomes markup or a formula."""

import csv
import io
from dataclasses import replace

import pytest

from models.domain.messages import Message
from models.domain.results.figures import OF_COLUMNS
from models.domain.results.file import from_json, to_json
from models.domain.results.report import CSV_FIELDS, to_csv, to_markdown
from models.domain.results.tables import fenced, inline

from .sample import COMPARISON, FULL, OTHER, WHEN


def test_the_report_says_all_that_is_needed_to_do_it_again():
    report = to_markdown(COMPARISON)
    for words in ("# 2 variants compared", WHEN, "temperature 0, ", "greedy", "| Seed | 7 |", "Version of torch | 2.9",
                  "Machine: cores | 2 |", "Be brief.", "```text\nBecause.\n```", "<|user|>Why?", "ran as m@bf16",
                  "270 MB", "≈ 17 tok/s", "12.000", "character 4", "A text.", "1. m", "2. m@nf4"):  # fmt: skip
        assert words in report, words
    rows = [line for line in report.splitlines() if line.startswith(("| m |", "| m@nf4 |"))]
    shown = [figure for figure in OF_COLUMNS if figure.text(FULL)]
    assert {line.replace("\\|", "").count("|") for line in rows} == {len(shown) + 2}
    assert 10 < len(shown) < len(OF_COLUMNS), "a figure that none has is no column"
    assert "not enough memory \\| while loading" in rows[1]


@pytest.mark.parametrize("text", ["", "a", "```", "````\n# x", "~~~\n```text\n", "`" * 50, "x\n```\n<script>"])
def test_nothing_gets_out_of_a_fence(text):
    opening, *inside, closing = fenced(text).split("\n")
    assert opening == closing + "text"
    assert set(closing) == {"`"}
    assert "\n".join(inside) == text
    assert not any(line.strip().startswith(closing) for line in inside)


@pytest.mark.parametrize("text", ["a|b", "`x`", "<img src=x>", "[a](http://b)", "**b**", "# h", "- x", "a\nb", "$x$"])
def test_a_line_from_outside_is_no_markup(text):
    shown = inline(text)
    assert "\n" not in shown
    for place, character in enumerate(shown):
        if character in "|`<>[]*#$":
            assert shown[place - 1] == "\\"


def test_csv_has_a_row_a_variant_with_whole_figures():
    evil = replace(FULL, variant="m@int8", answer='=1+1\n,"', error="", parts_at_character=None)
    rows = list(csv.DictReader(io.StringIO(to_csv(replace(COMPARISON, columns=(FULL, OTHER, evil))))))
    assert list(rows[0]) == list(CSV_FIELDS)
    assert [row["variant"] for row in rows] == ["m", "m@nf4", "m@int8"]
    assert (rows[0]["measured_bytes"], rows[0]["finish"], rows[0]["reference"]) == ("270000000", "stop", "True")
    assert (rows[0]["prefill_tokens_per_s"], rows[0]["new_tokens"]) == ("181.0", "12")
    assert (rows[1]["new_tokens"], rows[1]["error"]) == ("", OTHER.error)
    assert rows[2]["answer"] == "'=1+1\n,\""


def test_of_several_prompts_each_answer_is_a_row():
    turns = (*FULL.turns, Message("user", "And you?"), Message("assistant", "So."))
    several = replace(FULL, turns=turns, answer="So.", parts_at_character=None)
    whole = replace(COMPARISON, questions=("Why?", "And you?"), columns=(several, OTHER), independent=True)
    assert from_json(to_json(whole)) == whole
    rows = list(csv.DictReader(io.StringIO(to_csv(whole))))
    assert [(row["variant"], row["question"], row["answer"]) for row in rows] == [
        ("m", "Why?", "Because."), ("m", "And you?", "So."), ("m@nf4", "", ""),
    ]  # fmt: skip
    assert rows[0]["perplexity"] == rows[1]["perplexity"] != ""
    report = to_markdown(whole)
    for words in ("| Questions | 2, each asked for itself |", "## Question 2", "Because.", "So."):
        assert words in report


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_computes_no_answer(start):
    (row,) = csv.DictReader(io.StringIO(to_csv(replace(COMPARISON, columns=(replace(OTHER, answer=start + "1"),)))))
    assert row["answer"].startswith("'")
