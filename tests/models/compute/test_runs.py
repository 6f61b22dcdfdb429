"""The operator's lines and counts: what a run was, how it ended, and nothing that anybody wrote."""

import json
import logging
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest

from models.compute import runs
from models.compute.job import Answering
from models.compute.runs import Counts, Run, noted
from models.domain.errors import OutOfMemory
from models.domain.messages import Delta, Message, Rendered, Sampling, Usage

SECRET = "what the visitor wrote"
LOAD = SimpleNamespace(variant="tiny@bf16")
JOB = Answering(LOAD, Sampling(), (Message("user", SECRET),))
USAGE = Usage(prompt_tokens=7, new_tokens=3, load_s=1.25, ttft_s=0.5)


@pytest.fixture
def lines(monkeypatch, caplog):
    monkeypatch.setattr(runs, "COUNTS", Counts())
    caplog.set_level(logging.INFO, "paddock.runs")
    return lambda: [json.loads(record.message) for record in caplog.records if record.name == "paddock.runs"]


def answered(*deltas):
    yield Rendered(SECRET)
    for delta in deltas:
        if isinstance(delta, Exception):
            raise delta
        yield delta


def test_an_answer_is_one_line_without_its_words(lines):
    end = Delta(SECRET, replace(USAGE, finish="stop"))
    assert list(noted(JOB, answered(Delta(SECRET, USAGE), end), lambda: (25, 4.5)))[-1] == end
    (line,) = lines()
    assert SECRET not in str(line)
    expected = {"kind": "answer", "variant": "tiny@bf16", "finish": "stop", "prompt_tokens": 7, "new_tokens": 3}
    assert line | expected | {"gpu_declared_s": 25, "gpu_used_s": 4.5, "load_s": 1.25, "ttft_s": 0.5} == line


def test_rows_of_a_batch_are_summed(lines):
    rows = [Delta("", replace(USAGE, new_tokens=n, finish="length"), row) for row, n in ((0, 3), (1, 5))]
    list(noted(replace(JOB, rows=((), ())), answered(*rows)))
    assert [(line["rows"], line["new_tokens"], line["finish"]) for line in lines()] == [(2, 8, "length")]


def test_how_it_ended(lines):
    with pytest.raises(OutOfMemory):
        list(noted(JOB, answered(Delta("a", USAGE), OutOfMemory(during="while answering"))))
    with closing(noted(JOB, answered(Delta("a", USAGE), Delta("b", USAGE)))) as left:
        next(left), next(left)
    assert [(line["finish"], line["new_tokens"]) for line in lines()] == [("out_of_memory", 3), ("cancelled", 3)]
    counted = runs.COUNTS.to_dict()
    assert (counted["runs"], counted["new_tokens"]) == (2, 6)
    assert counted["finishes"] == {"out_of_memory": 1, "cancelled": 1}


def test_names_do_not_grow_without_end():
    counts = Counts()
    for number in range(runs.MOST_VARIANTS + 50):
        counts.add(Run("answer", f"owner/name{number}", "stop"))
    variants = counts.to_dict()["variants"]
    assert len(variants) == runs.MOST_VARIANTS + 1
    assert variants[runs.OTHERS] == 50
