"""A comparison saved and read again: nothing forged gets through, and older files open."""

import json
from dataclasses import fields, replace
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain.errors import BadComparison
from models.domain.messages import BOUNDS, Finish, Message, Sampling, Usage
from models.domain.results.comparison import (
    MOST_ALTERNATIVES,
    MOST_COLUMNS,
    Asked,
    Compared,
    Comparison,
    TokenView,
)
from models.domain.results.file import LONGEST_FILE, from_json, to_json
from models.domain.results.measured import Measured

from .sample import COMPARISON, FULL, OTHER, WHEN

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
    earlier=st.lists(st.builds(Asked, TEXTS, st.lists(token_views, max_size=2).map(tuple)), max_size=2).map(tuple),
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


def test_a_file_of_before_several_prompts_and_timed_runs_opens():
    data = json.loads(to_json(COMPARISON))
    del data["independent"]
    for column in data["columns"]:
        del column["needed"], column["marks"]
        for name in ("decode_low", "decode_high", "timed_tokens", "timed_runs"):
            del column["figures"][name]
    assert from_json(json.dumps(data)) == COMPARISON
