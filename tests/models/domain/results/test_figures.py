"""The one table of figures: each is a field of its owner, and tables and files follow."""

from dataclasses import fields, replace

import pytest

from models.domain.messages import Message, Usage
from models.domain.results.comparison import Compared, parted
from models.domain.results.figures import FIGURES, OF_COLUMNS
from models.domain.results.measured import Measured
from models.domain.results.report import CSV_FIELDS

REFERENCE = Measured("m@bf16", True, 269_000_000, 269_030_016, 600_000_000, 0.51, 0.2, 18.04, 12.3456, 0.91, 1.0, 0.0)
NF4 = Measured(
    "m@nf4", False, 112_000_000, 112_000_000, 0, 2.7, 0.21, 29.0, 13.5, 0.95, 0.8123, 0.0412, parts_at=2,
    answer_tokens=64,
)  # fmt: skip


def texts(**known):
    column = Compared("m", **known)
    return {figure.heading: text for figure in OF_COLUMNS if (text := figure.text(column))}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.field)
def test_a_figure_is_a_field_of_its_owner_and_stands_in_the_files(figure):
    assert figure.field in {field.name for field in fields(figure.owner)} or isinstance(
        vars(figure.owner)[figure.field], property
    )
    assert figure.field in CSV_FIELDS
    assert bool(figure.heading) == bool(figure.meaning)


def test_headings_tell_the_columns_of_a_table_apart():
    headings = [figure.heading for figure in OF_COLUMNS]
    assert len(set(headings)) == len(headings)
    assert headings[:3] == ["must be free", "weights", "peak"]


def test_csv_files_keep_their_order():
    assert list(CSV_FIELDS) == [
        "variant", "resolved", "kind", "reference", "predicted_bytes", "measured_bytes", "peak_bytes", "load_s",
        "ttft_s", "decode_tokens_per_s", "perplexity", "bits_per_byte", "agreement", "divergence", "parts_at",
        "answer_tokens", "decode_low", "decode_high", "timed_tokens", "timed_runs", "divergence_at_least",
        "engine", "prompt_tokens",
        "cached_tokens", "new_tokens", "context", "prefill_tokens_per_s", "wall_s", "seed", "finish", "thought_tokens",
        "thought_s", "thinking", "predicted_peak",
        "parts_at_character", "needed", "parts_in", "right", "wrong", "tokenizer", "note", "error",
        "question", "answer",
    ]  # fmt: skip


def test_figures_have_units():
    assert texts(figures=NF4, needed=860_000_000) == {
        "must be free": "860 MB",
        "weights": "112 MB",
        "load": "2.70 s",
        "TTFT": "0.21 s",
        "decode": "29.0 tok/s",
        "perplexity": "13.500",
        "bits/byte": "0.950",
        "agreement": "81.2%",
        "KL": "0.0412",
        "first difference": "token 3",
    }
    usage = Usage(peak_bytes=5_000_000, prefill_tokens_per_s=1234.5)
    assert texts(usage=usage) == {
        "peak": "5 MB", "load": "0.00 s", "TTFT": "0.00 s", "prefill": "1,234 tok/s", "prompt": "0 tokens",
        "answer": "0 tokens",
    }  # fmt: skip
    assert texts() == {}


def test_weights_say_what_was_planned_where_that_differs():
    assert texts(figures=replace(NF4, predicted_bytes=150_000_000))["weights"] == "112 MB (150 MB planned)"
    assert texts(figures=replace(NF4, measured_bytes=None))["weights"] == "112 MB planned"


TIMED = replace(NF4, decode_tokens_per_s=41.2, decode_low=39.8, decode_high=42.04, timed_tokens=64, timed_runs=3)


@pytest.mark.parametrize(
    ("row", "text", "basis"),
    [
        (TIMED, "41.2 tok/s (39.8–42.0)", "median and range of 3 runs"),
        (replace(TIMED, timed_runs=1), "41.2 tok/s", ""),
        (replace(TIMED, timed_tokens=63), "≈ 41 tok/s", "an estimate from 63 tokens"),
        (replace(NF4, timed_tokens=None), "29.0 tok/s", ""),
        (replace(TIMED, decode_tokens_per_s=None), None, ""),
    ],
)
def test_a_speed_says_what_it_rests_on(row, text, basis):
    column = Compared("m", figures=row)
    assert texts(figures=row).get("decode") == text
    assert next(figure for figure in FIGURES if figure.heading == "decode").rests_on(column) == basis


def test_a_lower_bound_is_told_as_one_and_the_engine_is_named():
    bound = Compared("m", figures=replace(NF4, divergence_at_least=True), usage=Usage(engine="llama.cpp"))
    divergence, engine = (next(one for one in FIGURES if one.field == name) for name in ("divergence", "engine"))
    assert (divergence.text(bound), engine.text(bound)) == ("≥ 0.0412", "llama.cpp")
    assert divergence.rests_on(bound).startswith("at least: ")
    assert divergence.rests_on(Compared("m", figures=NF4)) == ""
    assert divergence.text(Compared("m", figures=replace(NF4, divergence=None, divergence_at_least=True))) == ""


def test_a_speed_of_the_answer_alone_rests_on_its_tokens_and_a_kept_prompt_has_none():
    usage = Usage(new_tokens=12, decode_tokens_per_s=17.04, prefill_tokens_per_s=900.0)
    assert (texts(usage=usage)["decode"], texts(usage=usage)["prefill"]) == ("≈ 17 tok/s", "900 tok/s")
    assert texts(usage=replace(usage, new_tokens=64))["decode"] == "17.0 tok/s"
    assert "decode" not in texts(usage=replace(usage, batch=2))
    assert "prefill" not in texts(usage=replace(usage, cached_tokens=30))


@pytest.mark.parametrize(
    ("row", "character", "text"),
    [
        (NF4, 7, "token 3"),
        (replace(NF4, parts_at=None), None, "none in 64 tokens"),
        (replace(NF4, parts_at=0), None, "token 1"),
        (replace(NF4, agreement=None), 7, "character 8"),
        (Measured("m@nf4"), None, None),
        (REFERENCE, None, None),
    ],
)
def test_the_first_difference_is_told_by_the_token_where_that_is_known(row, character, text):
    assert texts(figures=row, answer="x" * 20, parts_at_character=character).get("first difference") == text


def test_of_several_prompts_the_earliest_difference_is_told_with_its_prompt():
    def column(*answers):
        turns = [(Message("user", "?"), Message("assistant", answer)) for answer in answers]
        return Compared("m@nf4", turns=tuple(sum(turns, ())), answer=answers[-1], figures=NF4)

    reference = column("Yes.", "Red is one.", "", "Four")
    first = next(one for one in FIGURES if one.heading == "first difference")
    cases = {
        ("Yes.", "Red was one.", "x", "Five"): "prompt 2, character 5",
        ("Yes.", "", "x", "Five"): "prompt 4, character 1",
        ("Yes.", "Red is one.", "x", "Four"): "none",
    }
    for answers, text in cases.items():
        assert first.text(parted(column(*answers), reference, independent=True)) == text
    assert parted(column("No.", "Four"), reference, independent=False).parts_at_character is None
