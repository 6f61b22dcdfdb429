"""Steps of a comparison become columns; what was cut short is kept; each column goes on with its own conversation."""

from dataclasses import replace

import pytest

from models.domain.errors import BadComparison, GpuQuotaUsed
from models.domain.messages import Delta, Message, Progress, Rendered, Usage
from models.domain.remedy import remedy
from models.domain.request import CompareRequest
from models.domain.results.comparison import Compared, Comparison
from models.domain.variant import Variant
from ui.compare import state as compare_state
from ui.compare.state import Shown, advance, begin, ended, histories, questions, request_again, so_far, without_gpu

A, B = Variant.parse("m@bf16"), Variant.parse("m@nf4")
REQUEST = CompareRequest.of([A, B], "Why?", "Be brief.", reference=A)
ASKED = (Message("system", "Be brief."), Message("user", "Why?"))
USAGE = Usage("m@bf16", new_tokens=2, decode_tokens_per_s=9.0)
CREATED = "2026-01-02T03:04:05+00:00"


def run(*steps):
    shown = begin(REQUEST)
    for place, event in steps:
        shown = advance(shown, place, event)
    return shown


def test_columns_fill_while_others_wait():
    shown = run((0, Progress("read")), (0, Rendered("<Why?>")), (0, Delta("Be", USAGE)), (0, Delta("cause", USAGE)))
    first, second = shown.columns
    assert (first.known.answer, first.known.prompt, first.known.usage, first.progress) == (
        "Because",
        "<Why?>",
        USAGE,
        None,
    )
    assert second == begin(REQUEST).columns[1]
    assert shown.running
    assert not shown.blind


def test_columns_interleave_and_a_failure_is_of_one_column():
    failed = Compared("m@bf16", error="It does not fit.")
    shown = run((1, Delta("x")), (0, failed), (1, Delta("y")), (1, Progress("score")))
    assert shown.columns[0].known is failed
    assert shown.columns[1].known.answer == "xy"
    assert shown.columns[1].progress == Progress("score")


def test_what_the_runtime_knows_replaces_what_was_put_together():
    whole = Compared("m@nf4", "m@nf4", answer="All of it.")
    shown = run((1, Progress("read")), (1, Delta("All")), (1, whole))
    assert (shown.columns[1].known, shown.columns[1].progress) == (whole, None)


def test_a_stopped_comparison_keeps_what_is_there():
    shown = run((0, Delta("Beca", USAGE)), (1, Progress("read")))
    comparison = so_far(shown, REQUEST)
    first, second = comparison.columns
    assert first.usage.finish == "cancelled"
    assert first.turns == (*ASKED, Message("assistant", "Beca"))
    assert (second.answer, second.usage, second.turns) == ("", None, ())
    assert (comparison.questions, comparison.system, comparison.reference) == (("Why?",), "Be brief.", "m@bf16")
    over = ended(shown, comparison, stopped=True)
    assert over.stopped
    assert not over.running
    assert over.columns[0].asked == ASKED


def test_what_had_ended_before_the_stop_says_how():
    done = replace(USAGE, finish="length")
    first = so_far(run((0, Delta("Because", done))), REQUEST).columns[0]
    assert first.usage.finish == "length"


@pytest.fixture
def comparison():
    answered = Compared("m@bf16", answer="Because.", turns=(*ASKED, Message("assistant", "Because.")))
    failed = Compared("m@nf4", error="It broke.")
    return Comparison(("Why?",), (answered, failed), CREATED, "Be brief.")


def test_a_refused_column_is_asked_as_the_variant_that_needs_no_gpu(comparison):
    whole = replace(comparison, reference="m@nf4")
    refused = replace(whole.columns[1], remedy=remedy(GpuQuotaUsed("3s left", "m@gguf")))
    shown = without_gpu(ended(Shown(), replace(whole, columns=(whole.columns[0], refused))), 1)
    assert [column.known.variant for column in shown.columns] == ["m@bf16", "m@gguf"]
    assert shown.reference == "m@gguf"
    request = request_again(shown, 1)
    assert request.variants == (Variant.parse("m@gguf"),)
    assert request.histories == (ASKED,)
    assert request.reference == Variant.parse("m@gguf")
    with pytest.raises(BadComparison):
        without_gpu(shown, 0)


def test_a_follow_up_goes_to_each_with_its_own_conversation(comparison):
    first, second = histories(comparison, "And then?")
    assert first == (*ASKED, Message("assistant", "Because."), Message("user", "And then?"))
    assert second == (ASKED[0], Message("user", "Why?\n\nAnd then?"))
    request = replace(REQUEST, histories=(second, first))
    assert questions(request) == ("Why?", "And then?")
    assert questions(replace(request, histories=(), further=("And you?",))) == ("And you?",)


def test_several_prompts_stand_below_each_other_and_a_stop_keeps_the_answers_that_were_whole():
    request = replace(REQUEST, further=("And you?",))
    shown = begin(request)
    answered = Compared("m@bf16", turns=(*ASKED, Message("assistant", "Because.")), answer="Because.")
    shown = advance(shown, 0, answered)
    asked = replace(answered, turns=(*answered.turns, Message("user", "And you?")), answer="")
    shown = advance(shown, 0, asked)
    assert [turn.content for turn in shown.columns[0].asked][-3:] == ["Why?", "Because.", "And you?"]
    stopped = so_far(shown, request)
    assert (stopped.questions, stopped.independent) == (("Why?", "And you?"), True)
    assert (stopped.columns[0].answer, stopped.columns[0].turns) == ("Because.", answered.turns)
    begun = so_far(advance(shown, 0, Delta("We", Usage(new_tokens=1))), request).columns[0]
    assert begun.pairs == [("Why?", "Because."), ("And you?", "We")]
    again = compare_state.request_again(ended(shown, stopped), 0)
    assert (again.histories[0], again.further) == (ASKED, ("And you?",))


def test_a_blind_vote_needs_two_answers(comparison):
    shown = begin(REQUEST, (1, 0))
    assert shown.blind
    assert ended(shown, comparison).order == ()
    two = replace(comparison, columns=(comparison.columns[0], Compared("m@nf4", answer="So.")))
    assert ended(shown, two).order == (1, 0)
    assert ended(shown, two).blind


def test_places_are_those_of_the_request_unless_shuffled():
    assert begin(REQUEST).places == (0, 1)
    assert begin(REQUEST, (1, 0)).places == (1, 0)
    assert compare_state.Shown().places == ()
