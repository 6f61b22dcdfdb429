"""What was compared: checked at birth, saved and read again, and told where answers part."""

import csv
import io
import json
import math
from dataclasses import fields, replace
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain.errors import BadComparison, BadSpelling, ModelIsAPath
from models.domain.messages import BOUNDS, Finish, Message, Sampling, Usage
from models.domain.results.comparison import (
    MOST_ALTERNATIVES,
    MOST_COLUMNS,
    Compared,
    Comparison,
    TokenView,
    agreeing_prefix,
)
from models.domain.results.figures import OF_COLUMNS
from models.domain.results.file import LONGEST_FILE, from_json, to_json
from models.domain.results.measured import Measured
from models.domain.results.report import CSV_FIELDS, to_csv, to_markdown
from models.domain.results.tables import fenced, inline

WHEN = "2026-01-02T03:04:05+00:00"
USAGE = Usage("m@bf16", "transformers", 38, 0, 12, 2048, 0.2, 181.0, 17.0, 3.1, 1.2, 800_000_000, 7, "stop")
FIGURES = Measured("m@bf16", True, 269_000_000, 270_000_000, 900_000_000, 0.4, 0.2, 17.0, 12.0, 1.0, 1.0, 0.0, None, 64)
FULL = Compared(
    "m",
    "m@bf16",
    "instruct",
    "<|user|>Why?",
    (Message("system", "Be brief."), Message("user", "Why?"), Message("assistant", "Because.")),
    "Because.",
    USAGE,
    FIGURES,
    1_100_000_000,
    "llama-49152",
    3,
    (TokenView("Because", 0.75, ((" Since", 0.2),)), TokenView(".", 1.0)),
)
OTHER = Compared("m@nf4", error="There was not enough memory | while loading.")
COMPARISON = Comparison(
    ("Why?",),
    (FULL, OTHER),
    WHEN,
    "Be brief.",
    Sampling(temperature=0, seed=7, stop=("\n\n",)),
    "m",
    "A text.",
    {"torch": "2.9"},
    {"cores": 2, "device": None, "flags": ["avx2", True], "memory": {"total": 8.5}},
)

# --- saved and read again -----------------------------------------------------------------------------------

NAMES = st.sampled_from(["m", "m@nf4", "m@gguf-q4_k_m", "o/n=main@bf16+a:0.5", "m+a+b"])
COUNTS = st.integers(0, 10**7)
AMOUNTS = st.floats(0, 1e7)
TEXTS = st.text(max_size=30)
MAYBE = st.none()
figures = st.builds(
    Measured,
    variant=TEXTS,
    reference=st.booleans(),
    predicted_bytes=MAYBE | COUNTS,
    load_s=MAYBE | AMOUNTS,
    perplexity=MAYBE | st.floats(0, 1e30),
    divergence=MAYBE | st.floats(-1, 1e6),
    agreement=MAYBE | st.floats(0, 1),
    note=TEXTS,
)
usages = st.builds(
    Usage,
    variant=TEXTS,
    prompt_tokens=COUNTS,
    ttft_s=AMOUNTS,
    seed=MAYBE | st.integers(0, 2**31 - 1),
    finish=MAYBE | st.sampled_from(get_args(Finish)),
    adapters=st.lists(TEXTS, max_size=4).map(tuple),
)
shares = st.floats(0, 1)
token_views = st.builds(
    TokenView, TEXTS, shares, st.lists(st.tuples(TEXTS, shares), max_size=MOST_ALTERNATIVES).map(tuple)
)
turns = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXTS)
columns = st.builds(
    Compared,
    NAMES,
    NAMES | st.just(""),
    st.sampled_from(["base", "instruct"]),
    TEXTS,
    st.lists(turns, max_size=3).map(tuple),
    st.text(min_size=5, max_size=20),
    MAYBE | usages,
    figures,
    MAYBE | COUNTS,
    TEXTS,
    MAYBE | st.integers(0, 5),
    st.lists(token_views, max_size=3).map(tuple),
    TEXTS,
)
samplings = st.builds(
    Sampling,
    max_new_tokens=st.integers(1, 4096),
    temperature=st.floats(0, 2),
    top_p=st.floats(0.05, 1),
    seed=MAYBE | st.integers(0, 2**31 - 1),
    stop=st.lists(st.text(min_size=1, max_size=64), max_size=3),
)
machines = st.dictionaries(TEXTS, MAYBE | st.booleans() | COUNTS | AMOUNTS | TEXTS | st.lists(COUNTS), max_size=3)
comparisons = st.builds(
    Comparison,
    questions=st.lists(TEXTS, max_size=3).map(tuple),
    columns=st.lists(columns, max_size=3).map(tuple),
    created=st.just(WHEN),
    system=TEXTS,
    sampling=samplings,
    reference=NAMES | st.just(""),
    text=TEXTS,
    versions=st.dictionaries(TEXTS, TEXTS, max_size=3),
    machine=machines,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(comparisons)
def test_what_is_saved_comes_back_exactly(comparison):
    assert from_json(to_json(comparison)) == comparison


def test_the_whole_sample_comes_back():
    text = to_json(COMPARISON)
    assert from_json(text) == COMPARISON
    assert from_json("\ufeff" + json.dumps(json.loads(text), indent=2)) == COMPARISON
    assert json.loads(text)["version"] == 1


def test_a_file_made_before_a_field_was_added_is_read():
    data = json.loads(to_json(COMPARISON))
    del data["columns"][0]["usage"]["adapters"]
    del data["columns"][0]["figures"]["note"]
    assert from_json(json.dumps(data)) == COMPARISON


def changed(path, value):
    """The sample as JSON, with something forged at a place in it."""
    data = json.loads(to_json(COMPARISON))
    *way, last = path
    place = data
    for step in way:
        place = place[step]
    place[last] = value
    return json.dumps(data)


COLUMN = ("columns", 0)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("format",), "other", "format should be 'paddock-comparison'"),
        (("version",), 2, "version should be less than or equal to 1"),
        (("version",), True, "version should be a valid integer"),
        (("version",), 1.0, "version should be a valid integer"),
        (("surprise",), 1, "surprise is not a known field"),
        (("questions",), "Why?", "questions should be a valid array"),
        (("questions",), [1], "questions.1 should be a valid string"),
        (("system",), None, "system should be a valid string"),
        (("created",), "yesterday", "not a moment in UTC"),
        (("created",), "2026-01-02T03:04:05", "not a moment in UTC"),
        (("created",), "2026-01-02T03:04:05+02:00", "not a moment in UTC"),
        (("columns",), {}, "columns should be a valid array"),
        (("columns",), [{"variant": "m"}] * (MOST_COLUMNS + 1), "columns should have at most 16 items"),
        (("columns",), [{}], "columns.1.variant is missing"),
        (("columns",), ["m"], "columns.1 should be an object"),
        (("sampling", "temperature"), 9, "temperature is 9"),
        (("sampling", "temperature"), float("nan"), "temperature should be a finite number"),
        (("sampling", "top_k"), 1.5, "top_k should be a valid integer"),
        (("sampling", "stop"), ["x" * 65], "at most 8 texts of 1 to 64 characters"),
        (("versions",), {"torch": 2}, "versions.torch should be a valid string"),
        (("versions",), [], "versions should be an object"),
        (("machine",), {"a": [[[[[1]]]]]}, "short, plain data"),
        (("machine",), {"a": 10**30}, "short, plain data"),
        (("machine",), {"a": 10**400}, "short, plain data"),
        (("versions",), {"a": 10**400}, "versions.a should be a valid string"),
        (("version",), -(10**4000), "version should be greater than or equal to 1"),
        (("machine",), {"a": "x" * 5000}, "short, plain data"),
        (("reference",), "x" * 501, "reference should have at most 500 characters"),
        ((*COLUMN, "variant"), "../etc", "path"),
        ((*COLUMN, "variant"), "<b>", "not a variant"),
        ((*COLUMN, "kind"), "other", "columns.1.kind should be 'base' or 'instruct'"),
        ((*COLUMN, "answer"), "x" * 200_001, "columns.1.answer should have at most 200000 characters"),
        ((*COLUMN, "answer"), "\ud800", "not JSON (unexpected end of hex escape"),
        ((*COLUMN, "parts_at_character"), 99, "outside of its answer"),
        ((*COLUMN, "parts_at_character"), True, "parts_at_character should be a valid integer"),
        ((*COLUMN, "usage", "finish"), "won", "usage.finish should be 'stop', 'length'"),
        ((*COLUMN, "usage", "finish"), ["stop"], "usage.finish should be 'stop', 'length'"),
        ((*COLUMN, "usage", "seed"), -1, "usage: seed is not a number from 0"),
        ((*COLUMN, "usage", "adapters"), ["a"] * 5, "at most 4"),
        ((*COLUMN, "usage", "peak_bytes"), 10**400, "usage: peak_bytes is not a number from 0"),
        ((*COLUMN, "usage", "ttft_s"), float("nan"), "ttft_s should be a finite number"),
        ((*COLUMN, "figures", "perplexity"), -1, "perplexity should be greater than or equal to 0"),
        ((*COLUMN, "usage", "extra"), 1, "columns.1.usage.extra is not a known field"),
        ((*COLUMN, "figures", "perplexity"), "12", "perplexity should be a valid number"),
        ((*COLUMN, "figures", "perplexity"), float("inf"), "perplexity should be a finite number"),
        ((*COLUMN, "figures", "reference"), 1, "reference should be a valid boolean"),
        ((*COLUMN, "figures"), None, "figures should be an object"),
        ((*COLUMN, "turns"), [{"role": "tool", "content": ""}], "role should be 'system', 'user' or 'assistant'"),
        ((*COLUMN, "turns"), [{"role": "user"}], "content is missing"),
        ((*COLUMN, "tokens"), [["a", 1.5, []]], "tokens.1.2 should be less than or equal to 1"),
        ((*COLUMN, "tokens"), [["a", 0.5]], "tokens.1.3 is missing"),
        ((*COLUMN, "tokens"), [["a", 0.5, [["b", 0.1]] * 21]], "should have at most 20 items"),
        ((*COLUMN, "tokens"), [["a", 0.5, []]] * 10_001, "tokens should have at most 10000 items"),
    ],
)
def test_a_forged_file_is_refused_with_a_sentence(path, value, reason):
    with pytest.raises(BadComparison) as caught:
        from_json(changed(path, value))
    assert type(caught.value) is BadComparison
    assert reason in caught.value.message
    assert caught.value.message.startswith("The comparison or its votes cannot be used: ")
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "1e999",
        "NaN",
        "[" * 200_000,
        '{"format":"paddock-comparison","version":1,"created":1e999,"questions":[],"columns":[]}',
        '{"format":"paddock-comparison","version":' + "9" * 5_000 + "}",
        '{"format":"paddock-comparison","version":1}',
        " " * (LONGEST_FILE + 1),
        "é" * (LONGEST_FILE // 2 + 1),
        "{" + ",".join(f'"{number}":1' for number in range(300_000)) + "}",
        json.dumps({"format": "paddock-comparison", "version": 1, "questions": [1] * 1_000_000}),
        None,
        b"{}",
    ],
    ids=range(16),
)
def test_what_is_no_comparison_at_all(text):
    with pytest.raises(BadComparison):
        from_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
    *((f.name,) for f in fields(Comparison)),
    *((*COLUMN, f.name) for f in fields(Compared)),
    *((*COLUMN, "usage", f.name) for f in fields(Usage)),
    *((*COLUMN, "figures", f.name) for f in fields(Measured)),
    *(("sampling", name) for name in BOUNDS),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_there_is_read_or_refused(path, value):
    try:
        read = from_json(changed(path, value))
    except BadComparison:
        return
    assert from_json(to_json(read)) == read


def test_tokens_are_left_out_rather_than_made_unreadable():
    token = TokenView("x" * 900, 0.5, (("y" * 900, 0.5),) * 5)
    large = replace(COMPARISON, columns=(replace(FULL, tokens=(token,) * 1_000), OTHER))
    text = to_json(large)
    assert len(text) < 10_000
    assert from_json(text) == replace(large, columns=(replace(FULL, tokens=()), OTHER))


# --- checked at birth ---------------------------------------------------------------------------------------


def test_a_probability_is_rounded_and_checked():
    assert TokenView("a", 1 + 1e-12).probability == 1
    assert TokenView("a", 0.123456789, (("b", 1e-9),)) == TokenView("a", 0.123457, (("b", 0.0),))
    for wrong in (1.1, -0.1, math.nan, math.inf, None, "1"):
        with pytest.raises(BadComparison):
            TokenView("a", wrong)
        with pytest.raises(BadComparison):
            TokenView("a", 0.5, (("b", wrong),))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Compared(""), BadSpelling),
        (lambda: Compared("m", "m@"), BadSpelling),
        (lambda: Compared("/etc/passwd"), ModelIsAPath),
        (lambda: Compared("m", kind="chat"), BadComparison),
        (lambda: Compared("m", answer="ab", parts_at_character=3), BadComparison),
        (lambda: Comparison((), (FULL,) * 17, WHEN), BadComparison),
        (lambda: Comparison((), (), "2026"), BadComparison),
        (lambda: Comparison((), (), WHEN, machine={"a": object()}), BadComparison),
        (lambda: Comparison((), (), WHEN, machine={"a": math.nan}), BadComparison),
        (lambda: Comparison((), (), WHEN, versions={"torch": 2}), BadComparison),
    ],
)
def test_what_cannot_be_is_not_born(make, error):
    with pytest.raises(error):
        make()


def test_a_figure_that_is_not_finite_is_none():
    column = Compared("m", figures=Measured("m", perplexity=math.inf, bits_per_byte=math.nan, load_s=1.0))
    assert (column.figures.perplexity, column.figures.bits_per_byte, column.figures.load_s) == (None, None, 1.0)


def test_the_usage_fills_what_the_figures_lack():
    column = Compared("m", usage=USAGE, figures=Measured("m", load_s=9.0, perplexity=3.0))
    known = column.known
    assert (known.load_s, known.ttft_s, known.decode_tokens_per_s) == (9.0, 0.2, 17.0)
    assert (known.peak_bytes, known.perplexity) == (800_000_000, 3.0)
    assert Compared("m").known == Measured("")


def test_the_reference_is_found_by_either_spelling():
    assert COMPARISON.reference_column is FULL
    assert replace(COMPARISON, reference="m@bf16").reference_column is FULL
    assert replace(COMPARISON, reference="").reference_column is None
    assert replace(COMPARISON, reference="x").reference_column is None


# --- where answers part -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "other", "common"),
    [
        ("", "", ""),
        ("the cat", "the cat", "the cat"),
        ("the cat", "the car", "the "),
        ("the cat", "the cats", "the "),
        ("the cats", "the cat", "the "),
        ("the cat.", "the cat", "the cat"),
        ("the cat", "the cat, it", "the cat"),
        ("it's", "it’s", ""),
        ("it's", "it", ""),
        ("The", "the", ""),
        ("a\n\nb", "a\n\nc", "a\n\n"),
        ("snake_case", "snake_test", ""),
        ("cafe\u0301 au", "cafe au", ""),
        ("很高兴见", "很高兴去", "很高兴"),
        ("x 👍🏽", "x 👍🏿", "x "),
        ("x 👩\u200d🚀", "x 👩\u200d🔬", "x "),
        ("3.14", "3.15", "3."),
    ],
)
def test_the_common_beginning_ends_at_a_word(reference, other, common):
    assert agreeing_prefix(reference, other) == len(common)


@given(st.text(alphabet="ab '.\n\u0301很👍", max_size=12), st.text(alphabet="ab '.\n\u0301很👍", max_size=12))
def test_it_is_common_and_symmetric(one, two):
    place = agreeing_prefix(one, two)
    assert one[:place] == two[:place]
    assert place == agreeing_prefix(two, one)
    assert agreeing_prefix(one, one) == len(one)


# --- reports ------------------------------------------------------------------------------------------------


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


def test_a_file_of_before_several_prompts_and_timed_runs_opens():
    data = json.loads(to_json(COMPARISON))
    del data["independent"]
    for column in data["columns"]:
        del column["needed"], column["marks"]
        for name in ("decode_low", "decode_high", "timed_tokens", "timed_runs"):
            del column["figures"][name]
    assert from_json(json.dumps(data)) == COMPARISON


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_computes_no_answer(start):
    (row,) = csv.DictReader(io.StringIO(to_csv(replace(COMPARISON, columns=(replace(OTHER, answer=start + "1"),)))))
    assert row["answer"].startswith("'")
