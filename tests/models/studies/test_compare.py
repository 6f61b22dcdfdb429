"""One prompt to several variants: in order, each with its figures; what fails says so and the rest goes on."""

import json
import math
from itertools import pairwise

import pytest

from models.compute.relay import coalesced
from models.domain.errors import BadComparisonRequest, EmptyPrompt, EngineFailed, NoReference, PromptTooManyCharacters
from models.domain.messages import Delta, Message, Progress, Rendered, Sampling, Usage
from models.domain.request import CompareRequest
from models.domain.results.comparison import Compared, Comparison, Step, agreeing_prefix
from models.domain.results.file import from_json
from models.domain.variant import Variant
from models.studies.compare import QUESTION, all_quantizations, compare

SMOLLM2 = "smollm2-135m-instruct"
SHORT = Sampling(max_new_tokens=10, temperature=0)
TEXT = "The wheel is older than the road, and the road is older than the map."


def variants(*spellings):
    return tuple(Variant.parse(spelling) for spelling in spellings)


def run(runtime, request):
    *steps, whole = compare(runtime, request)
    return steps, whole


@pytest.fixture(scope="module")
def compared(runtime):
    """Four variants that answer and one that does not fit, in three models in memory."""
    spelled = variants(f"{SMOLLM2}@bf16+json", "llama-2-70b-chat@bf16", f"{SMOLLM2}@gguf", f"{SMOLLM2}@bf16")
    request = CompareRequest.of(spelled, QUESTION, sampling=SHORT, reference=spelled[3], text=TEXT, one_pass=True)
    return run(runtime, request)


def test_every_column_streams_and_ends_with_its_figures(compared):
    steps, whole = compared
    assert isinstance(whole, Comparison)
    for place, column in enumerate(whole.columns):
        own = [step.event for step in steps if step.column == place]
        text = "".join(event.text for event in own if isinstance(event, Delta))
        assert text == column.answer
        if place == 1:
            continue
        assert column.usage.finish in ("length", "stop")
        assert column.prompt in [event.prompt for event in own if isinstance(event, Rendered)]
        assert column.usage.cached_tokens == 0, "figures are those of the whole prompt"
        assert column.figures.perplexity > 1
        assert column.figures.measured_bytes > 5e7
        assert abs(column.figures.measured_bytes / column.figures.predicted_bytes - 1) < 0.05
        assert column.turns == (Message("user", QUESTION), Message("assistant", column.answer))
    assert [column.variant.partition("+")[2] for column in whole.columns] == ["json", "", "", ""]


def test_what_fails_says_so_and_the_others_finish(compared):
    _, whole = compared
    assert [bool(column.error) for column in whole.columns] == [False, True, False, False]
    assert "needs about" in whole.columns[1].error
    assert whole.columns[1].answer == ""


def test_each_is_prompted_in_its_own_way(runtime):
    spelled = variants(f"{SMOLLM2}@gguf", "gemma-3-270m@gguf")
    _, whole = run(runtime, CompareRequest.of(spelled, "Name a colour.", "Be brief.", sampling=SHORT))
    chat, base = whole.columns
    assert (chat.kind, base.kind) == ("instruct", "base")
    assert "<|im_start|>system\nBe brief." in chat.prompt
    assert base.prompt == "Be brief.\n\nQ: Name a colour.\nA:"
    assert (whole.system, whole.questions) == ("Be brief.", ("Name a colour.",))


@pytest.mark.slow
def test_models_of_different_tokenizers_share_bits_per_byte_only(runtime):
    spelled = variants(f"{SMOLLM2}@bf16", "gemma-3-270m@bf16")
    _, whole = run(runtime, CompareRequest.of(spelled, "Hi", sampling=SHORT, reference=spelled[0], text=TEXT))
    one, other = (column.figures for column in whole.columns)
    assert (one.agreement, other.agreement, other.divergence) == (1, None, None)
    assert one.bits_per_byte > 0
    assert other.bits_per_byte > 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fp32", "bf16", "nf4", "int8"])
def test_one_pass_gives_what_each_gives_alone_up_to_rounding(runtime, mode):
    spelled = variants(*(f"{SMOLLM2}@{mode}{end}" for end in ("", "+pirate", "+json")))
    sampling = Sampling(max_new_tokens=40, temperature=0)
    together, alone = (
        run(runtime, CompareRequest.of(spelled, "How do I boil an egg?", sampling=sampling, one_pass=one_pass))[1]
        for one_pass in (True, False)
    )
    for row, single in zip(together.columns, alone.columns, strict=True):
        assert row.usage.adapters == single.usage.adapters
        if mode in ("fp32", "int8"):  # int8 is never computed as one batch
            assert row.answer == single.answer
        else:  # two tokens that are nearly as likely may change places, and what follows is then another text
            assert agreeing_prefix(single.answer, row.answer) >= 20
    assert ["one batch" in column.figures.note for column in together.columns] == [mode != "int8"] * 3


def test_the_reference_comes_first_and_the_others_are_held_against_it(compared):
    steps, whole = compared
    reference = whole.reference_column
    assert reference is whole.columns[3]
    assert (reference.figures.agreement, reference.figures.divergence) == (1, 0)
    assert whole.columns[0].figures.divergence > 0.05, "an adapter changes the distribution"
    assert 0 < whole.columns[2].figures.agreement <= 1
    assert whole.columns[0].parts_at_character == 0
    first = next(step.column for step in steps if isinstance(step.event, Delta) and step.event.text)
    assert first in (0, 3)
    assert whole.columns[0].usage.adapters == ("json",)
    assert whole.columns[3].usage.adapters == ()


def test_a_batch_that_breaks_keeps_the_answers_that_had_ended(runtime, monkeypatch):
    whole_batch = runtime.answer_rows

    def breaks(*request):
        for event in whole_batch(*request):
            yield event
            if isinstance(event, Delta) and event.usage.finish:
                raise EngineFailed(detail="the power went")

    monkeypatch.setattr(runtime, "answer_rows", breaks)
    spelled = variants(f"{SMOLLM2}@bf16", f"{SMOLLM2}@bf16+json")
    ended, broken = run(runtime, CompareRequest.of(spelled, QUESTION, sampling=SHORT, one_pass=True))[1].columns
    assert not ended.error
    assert ended.turns[-1].content == ended.answer
    assert "the power went" in broken.error
    assert broken.answer


def test_a_base_with_its_adapters_answers_in_one_pass(compared):
    """Deltas of the two take turns, which one after another they could not."""
    steps, _ = compared
    order = [step.column for step in steps if isinstance(step.event, Delta) and step.column in (0, 3)]
    switches = sum(a != b for a, b in pairwise(order))
    assert switches > 5
    _, whole = compared
    assert "one batch with 1 more" in whole.columns[0].figures.note
    assert "batch" not in whole.columns[2].figures.note
    speeds = [column.known.decode_tokens_per_s for column in whole.columns]
    assert [speed is None for speed in speeds] == [True, True, False, True], "a row's speed is not that of an answer"
    assert all(column.figures.load_s > 0 for column in whole.columns if not column.error)


def test_the_tokens_of_an_answer_have_probabilities_and_rivals(runtime):
    spelled = variants(f"{SMOLLM2}@bf16", f"{SMOLLM2}@bf16+json", f"{SMOLLM2}@gguf")
    request = CompareRequest.of(spelled, QUESTION, sampling=SHORT, rivals=4)
    _, whole = run(runtime, request)
    for column in whole.columns:
        assert "".join(token.text for token in column.tokens) == column.answer
        assert all(3 <= len(token.alternatives) <= 4 for token in column.tokens)
        likeliest = sum(token.probability >= token.alternatives[0][1] for token in column.tokens)
        assert likeliest >= 0.8 * len(column.tokens), "a greedy answer is made of the likeliest tokens"
        assert all(sum(p for _, p in token.alternatives) + token.probability <= 1.001 for token in column.tokens)


def test_a_follow_up_goes_to_each_with_its_own_history(runtime, compared):
    _, whole = compared
    kept = [whole.columns[2], whole.columns[0]]
    histories = tuple((*column.turns, Message("user", "Why?")) for column in kept)
    request = CompareRequest(variants(f"{SMOLLM2}@gguf", f"{SMOLLM2}@bf16+json"), histories, SHORT)
    _, more = run(runtime, request)
    for column, before in zip(more.columns, kept, strict=True):
        assert before.answer.strip() in column.prompt
        assert len(column.turns) == 4
        assert column.answer
    assert more.questions == (QUESTION, "Why?")


@pytest.mark.parametrize(
    ("spelled", "prompt", "options", "error"),
    [
        ([], "Hi", {}, BadComparisonRequest),
        ([SMOLLM2, SMOLLM2], "Hi", {}, BadComparisonRequest),
        ([f"{SMOLLM2}@bf16+json:{n / 10}" for n in range(17)], "Hi", {}, BadComparisonRequest),
        ([f"{SMOLLM2}@bf16", SMOLLM2], " ", {}, EmptyPrompt),
        ([f"{SMOLLM2}@bf16", SMOLLM2], "Hi", {"reference": Variant("gemma-3-270m")}, NoReference),
        ([f"{SMOLLM2}@bf16", SMOLLM2], "Hi", {"text": "x" * 8001}, PromptTooManyCharacters),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_anything_runs(runtime, spelled, prompt, options, error):
    held = [line.name for line in runtime.held()]
    with pytest.raises(error):
        run(runtime, CompareRequest.of(variants(*spelled), prompt, sampling=SHORT, **options))
    assert [line.name for line in runtime.held()] == held


# --- several prompts ----------------------------------------------------------------------------------------


def test_several_prompts_are_asked_for_themselves_by_each_variant_in_turn(runtime):
    spelled = variants(f"{SMOLLM2}@gguf", f"{SMOLLM2}@bf16")
    prompts = ["Say yes.", "word " * 9000, "Name a colour."]
    request = CompareRequest.of(spelled, prompts, "Be brief.", sampling=SHORT, reference=spelled[0])
    steps, whole = run(runtime, request)
    assert (whole.questions, whole.independent) == (tuple(prompts), True)
    order = [step.column for step in steps if isinstance(step.event, Delta)]
    assert order == sorted(order), "each is loaded once and answers all"
    for column in whole.columns:
        assert not column.error
        (first, second, third) = column.pairs
        assert [question for question, _ in column.pairs] == prompts
        assert first[1]
        assert third[1]
        assert second[1] == ""
        assert "prompt 2: The prompt" in column.figures.note
        assert "Say yes" not in column.prompt, "no conversation"
        assert "Be brief." in column.prompt
        assert (column.figures.timed_runs, column.known.decode_low <= column.known.decode_high) == (2, True)
    (alone,) = run(runtime, CompareRequest.of(spelled[:1], "Name a colour.", "Be brief.", sampling=SHORT))[1].columns
    assert alone.answer == whole.columns[0].answer


@pytest.mark.parametrize(
    ("prompts", "error"), [(["Hi"] * 21, BadComparisonRequest), (["Hi", " "], EmptyPrompt), (["x", "y" * 99_999],
     PromptTooManyCharacters)],
)  # fmt: skip
def test_prompts_that_cannot_be_asked(runtime, prompts, error):
    with pytest.raises(error):
        run(runtime, CompareRequest.of(variants(f"{SMOLLM2}@bf16", SMOLLM2), prompts, sampling=SHORT))


# --- all quantizations of one model -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(runtime):
    """Three modes of one model, asked the usual question."""
    spelled = variants(*(f"{SMOLLM2}@{mode}" for mode in ("bf16", "nf4", "gguf")))
    sampling = Sampling(max_new_tokens=16, temperature=0)
    request = CompareRequest.of(spelled, QUESTION, sampling=sampling, reference=spelled[0], text=TEXT, runs=2)
    return run(runtime, request)


def test_every_figure_is_there_and_can_be(runtime, measured):
    _, whole = measured
    for column in whole.columns:
        known = column.known
        assert known.measured_bytes > 50e6
        assert known.predicted_bytes > 50e6
        assert known.peak_bytes > known.measured_bytes / 2
        assert column.needed == runtime.plan(Variant.parse(column.variant)).needed > known.measured_bytes
        assert known.load_s > 0.05
        assert 0 < known.ttft_s < 60
        assert 0 < known.decode_low <= known.decode_tokens_per_s <= known.decode_high
        assert (known.timed_tokens, known.timed_runs) == (64, 2)
        assert column.usage.new_tokens <= 16, "what was timed is no part of the answer"
        assert 1 < known.perplexity < 1000
        assert known.bits_per_byte == pytest.approx(math.log2(known.perplexity) * 16 / len(TEXT), rel=0.1)
        assert 0.5 < known.agreement <= 1
        assert 0 <= known.divergence < 2


def test_modes_differ_as_they_should(measured):
    bf16, nf4, gguf = (column.known for column in measured[1].columns)
    assert (bf16.agreement, bf16.divergence) == (1, 0)
    assert nf4.divergence > 0.001
    assert nf4.measured_bytes < 0.5 * bf16.measured_bytes
    assert abs(math.log(nf4.perplexity / bf16.perplexity)) < 0.7
    assert nf4.parts_at is None or 0 <= nf4.parts_at < 16
    assert nf4.answer_tokens == pytest.approx(16, abs=1)
    stages = [step.event.stage for step in measured[0] if isinstance(step.event, Progress)]
    assert stages.count("time") > 6
    assert (bf16.divergence_at_least, nf4.divergence_at_least, gguf.divergence_at_least) == (False, False, True)
    assert 0 < gguf.divergence < nf4.divergence
    assert 0 < abs(math.log(gguf.perplexity / bf16.perplexity)) < 0.05, "it computes otherwise, and nearly the same"
    assert [column.usage.engine for column in measured[1].columns] == ["transformers", "transformers", "llama.cpp"]
    assert bf16.note == nf4.note, "where the Hub is out of reach, both are made from the GGUF file"
    assert gguf.note == ""


def test_a_mode_that_cannot_run_says_why_and_one_alone_is_measured(runtime):
    spelled = variants(f"{SMOLLM2}@fp16", f"{SMOLLM2}@bf16")
    request = CompareRequest.of(spelled, "Hi", sampling=SHORT, reference=spelled[0], text=TEXT)
    broken, good = run(runtime, request)[1].columns
    assert "it needs cuda or mps" in broken.error
    assert (good.error, good.known.agreement, good.known.perplexity > 1) == ("", None, True)
    (alone,) = run(runtime, CompareRequest.of(spelled[1:], "Hi", sampling=SHORT, text="Hi"))[1].columns
    assert "it has 1 tokens, and at least 2 are needed" in alone.known.note


def test_all_quantizations_are_those_that_fit_the_most_exact_first(runtime):
    found = all_quantizations(runtime, Variant.parse(SMOLLM2))
    assert found[:2] == [f"{SMOLLM2}@fp32", f"{SMOLLM2}@bf16"]
    assert {f"{SMOLLM2}@nf4-single", f"{SMOLLM2}@gguf"} <= set(found)
    with_adapter = all_quantizations(runtime, Variant.parse(f"{SMOLLM2}+json"))
    assert {f"{SMOLLM2}@nf4+json", f"{SMOLLM2}@gguf+json"} <= set(with_adapter)


def test_one_that_means_the_same_here_is_compared_once_and_the_reference_may_be_spelled_either_way(runtime):
    spelled = variants(f"{SMOLLM2}@gguf", SMOLLM2, f"{SMOLLM2}@nf4+pirate+json")
    short = Sampling(max_new_tokens=2, temperature=0)
    for reference, found in ((SMOLLM2, "@gguf"), (f"{SMOLLM2}@nf4+json+pirate", "@nf4+pirate+json")):
        request = CompareRequest.of(spelled, "Hi", sampling=short, reference=Variant.parse(reference))
        _, whole = run(runtime, request)
        assert [bool(column.error) for column in whole.columns] == [False, True, False]
        assert f"{SMOLLM2}@gguf (as {SMOLLM2}) was named twice" in whole.columns[1].error
        assert whole.reference == SMOLLM2 + found
        assert [column.figures.reference for column in whole.columns] == [found == "@gguf", False, found != "@gguf"]


def test_leaving_stops_all(runtime):
    request = CompareRequest.of(
        variants(f"{SMOLLM2}@bf16", f"{SMOLLM2}@bf16+pirate", f"{SMOLLM2}@gguf"), "Tell a long story.",
        sampling=Sampling(max_new_tokens=500, temperature=0),
    )  # fmt: skip
    stream = compare(runtime, request)
    while not isinstance(next(stream).event, Delta):
        pass
    stream.close()
    assert all(line.users == 0 for line in runtime.held())


def test_deltas_of_columns_are_put_together_and_loses_none():
    def steps():
        for number in range(40):
            yield Step(number % 2, Delta(f"{number} ", Usage(new_tokens=number)))
        yield Step(0, Progress("score"))
        yield Step(1, Delta("end", Usage(finish="stop")))
        yield Step(1, Compared("m"))
        yield "whole"

    *items, whole = coalesced(steps(), seconds=60)
    assert whole == "whole"
    texts = ["".join(i.event.text for i in items if i.column == n and isinstance(i.event, Delta)) for n in (0, 1)]
    assert texts == ["".join(f"{n} " for n in range(0, 40, 2)), "".join(f"{n} " for n in range(1, 40, 2)) + "end"]
    assert sum(isinstance(item.event, Delta) for item in items) == 4


def test_the_command_line_writes_what_the_page_can_open(runtime, capsys):
    from models.__main__ import main

    words = ["compare", "Say hi.", f"{SMOLLM2}@bf16", f"{SMOLLM2}@gguf", "--max-new-tokens", "4", "--no-quality"]
    assert main([*words, "--json"]) == 0
    opened = from_json(capsys.readouterr().out)
    assert [column.variant for column in opened.columns] == [f"{SMOLLM2}@bf16", f"{SMOLLM2}@gguf"]
    assert json.loads(json.dumps(dict(opened.versions)))["torch"]
    with pytest.raises(SystemExit):
        main([*words, "--distance", "-0.5"])
    assert "it is a share from 0 to 10" in capsys.readouterr().err
    assert main(["compare", "Say hi.", SMOLLM2]) == 1
    assert "only one was named" in capsys.readouterr().err
    assert main([*words[:4], "m@@", f"{SMOLLM2}@gguf", *words[4:], "--csv"]) == 0  # said, and the others are compared
    printed = capsys.readouterr()
    assert "“m@@” is not a variant" in printed.err
    assert f"{SMOLLM2}@gguf was named twice" in printed.err
    assert len(printed.out.strip().splitlines()) == 3


def test_measure_is_compare_on_the_command_line(runtime, capsys, monkeypatch, tmp_path):
    from models import __main__ as command_line

    monkeypatch.setattr(command_line, "Runtime", lambda settings: runtime)
    few = [f"{SMOLLM2}@bf16", f"{SMOLLM2}@gguf"]
    for module in ("compare", "measure"):
        monkeypatch.setattr(f"models.cli.{module}.all_quantizations", lambda *asked: few)
        monkeypatch.setattr(f"models.cli.{module}.RUNS", 1)
    (tmp_path / "text.txt").write_text(TEXT)
    short = ["--text", str(tmp_path / "text.txt")]
    assert command_line.main(["compare", SMOLLM2, "--all-modes", "--max-new-tokens", "4", "--csv", *short]) == 0
    compared = capsys.readouterr().out.strip().splitlines()
    assert command_line.main(["measure", SMOLLM2, "--new-tokens", "4", "--csv", *short]) == 0
    measured = capsys.readouterr().out.strip().splitlines()
    assert compared[0] == measured[0]
    assert [line.split(",")[:4] for line in compared] == [line.split(",")[:4] for line in measured]
    assert (
        command_line.main(["measure", SMOLLM2, "--modes", "nf4,bf16,nf4", "--new-tokens", "4", "--json", *short]) == 0
    )
    exact, nf4 = json.loads(capsys.readouterr().out)
    assert (exact["variant"], exact["reference"], nf4["variant"]) == (f"{SMOLLM2}@bf16", True, f"{SMOLLM2}@nf4")
    assert 0 < nf4["agreement"] < exact["agreement"] == 1
    assert command_line.main(["compare", "Say hi.", SMOLLM2, "--all-modes", "--max-new-tokens", "4", *short]) == 0
    printed = capsys.readouterr()
    assert f"\n== {SMOLLM2}@bf16\n" in printed.out
    assert "| must be free | weights |" in printed.out
    assert "The rule: of the variants" in printed.out
    assert "| ≥ 0.0" in printed.out, "llama.cpp's divergence is a lower bound"
    (tmp_path / "prompts.txt").write_text("Say yes.\n\nSay no.\n")
    words = ["compare", "--prompts", str(tmp_path / "prompts.txt"), *few, "--max-new-tokens", "4", "--no-quality"]
    assert command_line.main(words) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n> Say yes.\n") == printed.count("\n> Say no.\n") == 2
    assert command_line.main(["compare", "a", "b", "c", "--all-modes"]) == 1
    assert "--all-modes takes one model" in capsys.readouterr().err
