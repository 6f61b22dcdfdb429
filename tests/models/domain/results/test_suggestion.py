"""Which variant to choose, and why."""

from dataclasses import replace

import pytest

from models.domain.results.comparison import Compared
from models.domain.results.measured import Measured
from models.domain.results.suggestion import SENTENCES, suggest


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
        "On the sample text, m@nf4 stays within 5% of m@bf16 (perplexity +4.2%), is 2.4 times smaller and decodes 1.7 "
        "times as fast. Your prompt was not judged."
    )
    assert found.rule.startswith(
        "The rule: of the variants whose perplexity is at most 5% above that of m@bf16 (12.00), the one whose weights "
        "take the least memory; of equals the faster."
    )
    assert suggest([BF16, NF4], "m@bf16", 0.05, ["a", "b"]).sentence.startswith("On the sample text, b stays within 5%")


@pytest.mark.parametrize(("distance", "variant"), [(0.0, "m@bf16"), (0.04, "m@bf16"), (0.05, "m@nf4"), (0.25, "m@fp4")])
def test_the_distance_decides(distance, variant):
    assert suggest([POOR, NF4, BF16], "m@bf16", distance).variant == variant


def test_when_nothing_smaller_is_as_good():
    found = suggest([BF16, POOR], "m@bf16", 0.05)
    assert found.variant == "m@bf16"
    assert found.sentence.startswith("On the sample text, nothing smaller stays within 5% of m@bf16 (270 MB).")


def test_variants_that_differ_by_their_kv_cache_are_held_against_what_must_be_free():
    plain, eight, four = (
        replace(column(f"m@gguf{kv}", 97_000_000, perplexity), needed=needed)
        for kv, perplexity, needed in (("", 35.9, 554), ("/kv8", 36.1, 377), ("/kv4", 41.0, 282))
    )
    found = suggest([plain, eight, four], "m@gguf", 0.05)
    assert found.variant == "m@gguf/kv8"
    assert "is 1.5 times smaller" in found.sentence
    assert "needs the least memory free" in found.rule
    assert suggest([plain, replace(eight, needed=None)], "m@gguf", 0.05).rule.count("weights take the least") == 1


@pytest.mark.parametrize("distance", [-0.5, -1e-9, float("nan")])
def test_no_distance_rules_the_reference_out(distance):
    assert suggest([BF16, NF4, POOR], "m@bf16", distance).variant == "m@bf16"


def test_when_the_reference_is_the_smallest():
    assert suggest([NF4, BF16, POOR], "m@fp4", 0.05).sentence.startswith(
        "m@fp4 is the smallest of them (100 MB); on the sample text, m@bf16 is better (perplexity -20.0%) and takes "
        "270 MB."
    )
    alike = column("m@int8", 200_000_000, 14.9)
    assert suggest([POOR, alike], "m@fp4", 0.05).sentence.startswith("m@fp4 is the smallest of them (100 MB). Your")


def test_of_equals_the_faster():
    twin = column("m@int4", 112_000_000, 12.1, 40.0)
    assert suggest([BF16, NF4, twin], "m@bf16", 0.05).variant == "m@int4"
    untimed = column("m@int4", 112_000_000, 12.1, None)
    assert suggest([BF16, untimed, NF4], "m@bf16", 0.05).variant == "m@nf4"
    same = column("m@fp16", 270_000_000, 12.0, 17.0)
    assert suggest([same, BF16], "m@bf16", 0.05).variant == "m@bf16"
    faster = suggest([replace(same, figures=replace(same.figures, decode_tokens_per_s=20.0)), BF16], "m@bf16", 0.05)
    assert "m@fp16 stays within 5% of m@bf16 (perplexity +0.0%) in about the same memory." in faster.sentence


def test_other_tokenizers_are_compared_in_bits_per_byte():
    others = [BF16, replace(NF4, tokenizer="u"), POOR]
    found = suggest(others, "m@bf16", 0.05)
    assert "(bits per byte +2.0%)" in found.sentence
    assert "whose bits per byte is at most" in found.rule
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
        ([column("m@a", 1, None), column("m@b", 1, None)], "m@a", "Quality was not measured."),
        ([column("m@a", 1, None), NF4, BF16], "m@a", "The reference m@a has no figures"),
        ([NF4, BF16], "m@gone", "The reference m@gone has no figures"),
        ([column("m@a", 1, None), NF4], "", "Only m@nf4 has figures"),
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


def marked(one, *marks, answer="A."):
    return replace(one, answer=answer, marks=marks)


def test_what_readers_marked_comes_first_and_counts():
    columns = [marked(BF16, "right"), marked(NF4, "right"), marked(POOR, "wrong")]
    found = suggest(columns, "m@bf16", 0.05)
    assert found.sentence.startswith("2 of 3 answers marked right: m@bf16, m@nf4. On the sample text, m@nf4 stays")
    assert found.variant == "m@nf4"
    assert "not judged" not in found.sentence


def test_one_whose_answer_is_wrong_is_not_taken_however_well_it_predicts():
    found = suggest([marked(BF16, "right"), marked(NF4, "wrong")], "m@bf16", 0.05)
    assert found.variant == "m@bf16"
    assert found.sentence.startswith("1 of 2 answers marked right: m@bf16. On the sample text, nothing smaller stays")
    both = suggest([marked(BF16, "wrong"), marked(NF4, "wrong")], "m@bf16", 0.05)
    assert both.variant == ""
    assert both.sentence.startswith("0 of 2 answers marked right. ")
    mostly = marked(NF4, "wrong", "right", "right")
    assert suggest([marked(BF16, "right"), mostly], "m@bf16", 0.05).variant == "m@nf4"


def test_without_figures_of_quality_the_marks_decide():
    plain = [
        replace(one, figures=replace(one.figures, perplexity=None, bits_per_byte=None)) for one in (BF16, NF4, POOR)
    ]
    assert suggest(plain, "m@bf16", 0.05).sentence == "Quality was not measured. Your prompt was not judged."
    found = suggest([marked(plain[0], "right"), marked(plain[1], "right"), plain[2]], "m@bf16", 0.05)
    assert found.variant == "m@nf4"
    assert found.sentence == (
        "2 of 2 answers marked right: m@bf16, m@nf4. Of those, m@nf4 is the smallest (112 MB). Quality was not "
        "measured."
    )


def test_every_sentence_that_is_said_is_listed():
    for columns in ([BF16, NF4], [marked(BF16, "right"), NF4], [BF16, POOR], [NF4, POOR]):
        found = suggest(columns, columns[0].variant, 0.05)
        assert {one.template for one in (*found.said, found.why)} <= set(SENTENCES)
