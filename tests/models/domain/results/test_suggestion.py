"""Which variant to choose, and why."""

from dataclasses import replace

import pytest

from models.domain.results.comparison import Compared
from models.domain.results.measured import Measured
from models.domain.results.suggestion import suggest


def column(variant, bytes_, perplexity, speed=10.0, tokenizer="t", bits=None, error="", predicted=None):
    figures = Measured(
        variant,
        predicted_bytes=predicted,
        measured_bytes=bytes_,
        decode_tokens_per_s=speed,
        perplexity=perplexity,
        bits_per_byte=bits,
    )
    return Compared(variant, tokenizer=tokenizer, figures=figures, error=error)


BF16 = column("m@bf16", 270_000_000, 12.0, 17.0, bits=1.0)
NF4 = column("m@nf4", 112_000_000, 12.5, 28.4, bits=1.02)
POOR = column("m@fp4", 100_000_000, 15.0, bits=1.3)


def test_the_smallest_that_is_good_enough():
    found = suggest([BF16, NF4, POOR], "m@bf16", 0.05)
    assert found.variant == "m@nf4"
    assert found.sentence == (
        "m@nf4 is good enough: 112 MB instead of 270 MB, perplexity 12.50 (+4.2%), 28.4 tok/s instead of 17.0."
    )
    assert found.rule == (
        "The rule: of the variants whose perplexity is at most 5% above that of m@bf16 (12.00), the one whose weights "
        "take the least memory; of equals the faster."
    )


@pytest.mark.parametrize(("distance", "variant"), [(0.0, "m@bf16"), (0.04, "m@bf16"), (0.05, "m@nf4"), (0.25, "m@fp4")])
def test_the_distance_decides(distance, variant):
    assert suggest([POOR, NF4, BF16], "m@bf16", distance).variant == variant


def test_when_nothing_smaller_is_as_good():
    found = suggest([BF16, POOR], "m@bf16", 0.05)
    assert (found.sentence, found.variant) == ("Nothing smaller is as good: keep m@bf16, 270 MB.", "m@bf16")


@pytest.mark.parametrize("distance", [-0.5, -1e-9, float("nan")])
def test_no_distance_rules_the_reference_out(distance):
    assert suggest([BF16, NF4, POOR], "m@bf16", distance).variant == "m@bf16"


def test_when_the_reference_is_the_smallest():
    assert suggest([NF4, BF16, POOR], "m@fp4", 0.05).sentence == (
        "Keep m@fp4: with 100 MB it is the smallest of them. m@bf16 is better, perplexity 12.00 (-20.0%), and takes "
        "270 MB."
    )
    alike = column("m@int8", 200_000_000, 14.9)
    assert suggest([POOR, alike], "m@fp4", 0.05).sentence == "Keep m@fp4: with 100 MB it is the smallest of them."


def test_of_equals_the_faster():
    twin = column("m@int4", 112_000_000, 12.1, 40.0)
    assert suggest([BF16, NF4, twin], "m@bf16", 0.05).variant == "m@int4"
    untimed = column("m@int4", 112_000_000, 12.1, None)
    assert suggest([BF16, untimed, NF4], "m@bf16", 0.05).variant == "m@nf4"
    same = column("m@fp16", 270_000_000, 12.0, 17.0)
    assert suggest([same, BF16], "m@bf16", 0.05).variant == "m@bf16"
    faster = suggest([replace(same, figures=replace(same.figures, decode_tokens_per_s=20.0)), BF16], "m@bf16", 0.05)
    assert faster.sentence.startswith("m@fp16 is good enough: 270 MB like m@bf16")


def test_other_tokenizers_are_compared_in_bits_per_byte():
    others = [BF16, replace(NF4, tokenizer="u"), POOR]
    found = suggest(others, "m@bf16", 0.05)
    assert "bits per byte 1.02 (+2.0%)" in found.sentence
    assert "whose bits per byte are at most" in found.rule
    unknown = [replace(one, tokenizer="") for one in (BF16, NF4)]
    assert "bits per byte" in suggest(unknown, "m@bf16", 0.05).rule
    failed = replace(POOR, tokenizer="u", error="It broke.")
    assert "perplexity" in suggest([BF16, NF4, failed], "m@bf16", 0.05).rule


def test_what_failed_or_has_no_figures_is_no_candidate():
    broken = column("m@int8", 1_000, 12.0, error="It broke.")
    unscored = column("m@gguf", 1_000, None)
    no_memory = column("m@q", None, 12.0)
    assert suggest([BF16, NF4, broken, unscored, no_memory], "m@bf16", 0.05).variant == "m@nf4"
    predicted = column("m@gguf", None, 12.0, predicted=90_000_000)
    assert suggest([BF16, predicted], "m@bf16", 0.05).variant == "m@gguf"


def test_the_reference_may_be_named_as_it_was_resolved():
    assert suggest([replace(BF16, variant="m", resolved="m@bf16"), NF4], "m@bf16", 0.05).variant == "m@nf4"


def test_without_a_reference_the_best_is_it():
    found = suggest([NF4, BF16, POOR], "", 0.05)
    assert found.variant == "m@nf4"
    assert "that of m@bf16" in found.rule


@pytest.mark.parametrize(
    ("columns", "reference", "words"),
    [
        ([column("m@a", 1, None), column("m@b", 1, None)], "m@a", "there are no figures"),
        ([column("m@a", 1, None), NF4, BF16], "m@a", "the reference m@a has no figures"),
        ([NF4, BF16], "m@gone", "the reference m@gone has no figures"),
        ([column("m@a", 1, None), NF4], "", "only m@nf4 has figures"),
    ],
)
def test_it_says_plainly_when_there_is_nothing_to_go_by(columns, reference, words):
    found = suggest(columns, reference, 0.05)
    assert found.variant == ""
    assert words in found.sentence
    assert found.rule.startswith("The rule:")


@pytest.mark.parametrize("columns", [[], [BF16]])
def test_none_for_less_than_two(columns):
    assert suggest(columns, "m@bf16", 0.05) is None
