"""Measuring modes of a real model: every figure is there, the reference comes first, and a failure is a row."""

import math

import pytest

from models.domain.errors import BadModes, NotHeld, PromptTooManyCharacters, UnknownModel
from models.domain.messages import Progress, Sampling
from models.domain.request import CompletionRequest
from models.domain.results.measured import Measured
from models.domain.variant import Variant
from models.studies.measure import _ordered, measure

SMOLLM2, GEMMA = "smollm2-135m-instruct", "gemma-3-270m"
TEXT = "The capital of France is Paris, and the capital of Italy is Rome. Both are old cities on rivers."


def rows_of(events):
    return [event for event in events if isinstance(event, Measured)]


@pytest.fixture(scope="module")
def measured(runtime):
    """The events of one run over three modes, the reference not named first."""
    events = list(measure(runtime, SMOLLM2, ["nf4", "bf16", "gguf", "nf4"], TEXT, new_tokens=16))
    yield events
    for line in runtime.held():
        runtime.eject(line.name)


def test_a_row_a_mode_with_the_reference_first(measured):
    assert [row.variant for row in rows_of(measured)] == [f"{SMOLLM2}@{mode}" for mode in ("bf16", "nf4", "gguf")]
    assert [row.reference for row in rows_of(measured)] == [True, False, False]
    assert [row.error for row in rows_of(measured)] == ["", "", ""]


def test_every_figure_is_there_and_can_be(measured):
    for row in rows_of(measured):
        assert row.measured_bytes > 50e6
        assert row.predicted_bytes > 50e6
        assert row.peak_bytes > row.measured_bytes / 2
        assert row.load_s > 0.05
        assert 0 < row.ttft_s < 60
        assert row.decode_tokens_per_s > 0
        assert 1 < row.perplexity < 1000
        assert row.bits_per_byte == pytest.approx(math.log2(row.perplexity) * row_tokens(row) / len(TEXT), rel=0.1)
        assert 0.5 < row.agreement <= 1
        assert 0 <= row.divergence < 2


def row_tokens(row):
    return 22  # of TEXT after its first token, which stands for 3 of its bytes


def test_modes_differ_as_they_should(measured):
    bf16, nf4, gguf = rows_of(measured)
    assert (bf16.agreement, bf16.divergence) == (1, 0)
    assert nf4.divergence > 0.001
    assert nf4.measured_bytes < 0.5 * bf16.measured_bytes
    assert abs(math.log(nf4.perplexity / bf16.perplexity)) < 0.7
    assert nf4.parts_at is None or 0 <= nf4.parts_at < 16
    assert nf4.answer_tokens == pytest.approx(16, abs=1)
    assert "dequantized" in gguf.note
    assert bf16.note == nf4.note, "where the Hub cannot be reached, both are made from the GGUF file"


def test_progress_names_the_variant_and_every_stage(measured):
    steps = [event for event in measured if isinstance(event, Progress)]
    assert {step.stage for step in steps} >= {"read", "score"}
    assert all(SMOLLM2 in step.detail for step in steps)


def test_a_mode_that_cannot_run_is_a_row_that_says_why(runtime):
    broken, good = rows_of(measure(runtime, SMOLLM2, ["fp16", "bf16"], TEXT, reference="fp16", new_tokens=4))
    assert "it needs cuda or mps" in broken.error
    assert (broken.perplexity, good.error, good.reference) == (None, "", True)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((SMOLLM2, ["q9"], ""), BadModes, "there is no “q9”"),
        ((SMOLLM2, ["bf16"], "", "best"), BadModes, "there is no “best”"),
        ((SMOLLM2, ["bf16"], "x" * 8001), PromptTooManyCharacters, "8,001 characters.*at most 8,000"),
        (("smollm9", ["bf16"], ""), UnknownModel, "no model called"),
    ],
)
def test_what_cannot_be_measured(runtime, arguments, error, words):
    with pytest.raises(error, match=words):
        list(measure(runtime, *arguments))


def test_one_word_is_too_short_and_says_so(runtime):
    (row,) = rows_of(measure(runtime, SMOLLM2, ["bf16"], "Hi", new_tokens=2))
    assert "this one is 1 long" in row.error


@pytest.mark.slow
def test_a_base_model_continues_and_its_window_slides(runtime):
    first, second = rows_of(measure(runtime, GEMMA, ["bf16", "nf4"], "", new_tokens=8))
    assert (first.error, second.error) == ("", "")
    assert first.perplexity < second.perplexity * 1.2


def test_auto_is_what_it_means_here_also_as_the_reference(runtime):
    card = runtime.catalog[SMOLLM2]
    assert _ordered(runtime, card, ["auto", "bf16"], "auto") == ["gguf", "bf16"]
    assert _ordered(runtime, card, ["gguf"], "auto") == ["gguf"]


def test_a_model_that_somebody_uses_has_no_time_of_a_load_now(runtime, monkeypatch):
    list(measure(runtime, SMOLLM2, ["bf16"], TEXT, new_tokens=2))
    list(runtime.answer(CompletionRequest(Variant(SMOLLM2, "bf16"), "Hello", Sampling(max_new_tokens=1))))

    def in_use(name):
        raise NotHeld(variant=name, reason="somebody uses it now")

    monkeypatch.setattr(runtime, "eject", in_use)
    (row,) = rows_of(measure(runtime, SMOLLM2, ["bf16"], TEXT, new_tokens=2))
    assert (row.load_s, row.error) == (None, "")
    assert row.ttft_s > 0
    monkeypatch.undo()
    runtime.eject(f"{SMOLLM2}@bf16")
