"""What is asked: those that run here, compared with what was picked, and nothing in its place."""

import pytest

from models.domain.errors import BadComparisonRequest, DoesNotFit, EmptyPrompt, NoReference, NotUtf8
from models.domain.messages import Message, Sampling
from models.domain.request import BasePrompt
from models.domain.results.comparison import Compared, Comparison
from models.domain.settings import Settings
from models.runtime import Runtime
from ui.compare.asked import SetupValues, prepare
from ui.compare.candidates import Target, find_candidates
from ui.compare.several import prompts_of

A, B, C = "smollm2-135m-instruct@gguf", "smollm2-135m-instruct@nf4", "smollm2-135m-instruct@bf16"
PARTS = BasePrompt()


@pytest.fixture(scope="module")
def runtime():
    return Runtime(Settings())


def asked_for(runtime, listed, reference, earlier=None, prompt="\tWhy?\n"):
    shown = SetupValues(prompt, "", PARTS, reference, quality=False, text="")
    return prepare(runtime, find_candidates(runtime, listed, Target()), shown, Sampling(16), earlier)


def test_the_picked_reference_or_the_first(runtime):
    assert str(asked_for(runtime, [A, B], "").request.reference) == A
    assert str(asked_for(runtime, [A, B], B).request.reference) == B


@pytest.mark.parametrize("listed", [[A, B], [A, B, "smollm2 @"]])
def test_a_reference_that_is_not_compared_is_not_replaced(runtime, listed):
    for reference in (C, "smollm2 @"):
        with pytest.raises(NoReference, match="is not among the compared variants"):
            asked_for(runtime, listed, reference)


def test_a_follow_up_keeps_the_reference_that_it_had_and_the_texts_as_they_are(runtime):
    turns = (Message("user", "\tOne\n"), Message("assistant", " 1\n"))
    columns = tuple(Compared(name, turns=turns, answer=" 1\n") for name in (A, B))
    earlier = Comparison(questions=("\tOne\n",), columns=columns, created="2026-01-01T00:00:00+00:00", reference=B)
    asked = asked_for(runtime, [C], C, earlier)
    assert str(asked.request.reference) == B
    assert asked.request.histories == ((*turns, Message("user", "\tWhy?\n")),) * 2


def test_what_does_not_run_here_is_left_out_and_one_that_runs_is_enough(runtime):
    large = "llama-2-70b-chat@bf16"
    found = asked_for(runtime, [large, A], "")
    assert [str(variant) for variant in found.request.variants] == [A]
    assert [candidate.spelling for candidate in found.left_out] == [large]
    with pytest.raises(DoesNotFit):
        asked_for(runtime, [large, "llama-2-70b@bf16"], "")
    with pytest.raises(BadComparisonRequest, match="only one was named"):
        asked_for(runtime, [A], "")
    with pytest.raises(BadComparisonRequest, match="none was named"):
        asked_for(runtime, [], "")


def test_several_prompts_are_the_lines_and_have_no_follow_up(runtime):
    candidates = find_candidates(runtime, [A, B], Target())
    shown = SetupValues("One?\n\n Two? \n", quality=False, several=True)
    request = prepare(runtime, candidates, shown, Sampling(16)).request
    assert (request.histories[0][-1].content, request.further) == ("One?", ("Two?",))
    with pytest.raises(BadComparisonRequest, match="there are 21 prompts, and at most 20"):
        prepare(runtime, candidates, SetupValues("x\n" * 21, several=True), Sampling(16))
    columns = tuple(Compared(name) for name in (A, B))
    earlier = Comparison(("One?", "Two?"), columns, "2026-01-01T00:00:00+00:00", independent=True)
    with pytest.raises(BadComparisonRequest, match="no conversation"):
        prepare(runtime, candidates, shown, Sampling(16), earlier)


def test_prompts_of_a_file_are_read_once(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffEins\r\n\r\nZwei".encode())
    assert prompts_of(str(file)) == ("Eins", "Zwei")
    assert not file.exists()
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(NotUtf8):
        prompts_of(str(file))
    file.write_text(" \n")
    with pytest.raises(EmptyPrompt):
        prompts_of(str(file))
