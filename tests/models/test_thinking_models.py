"""A comparison of models that think: equal budgets, and answers that are held against each other without thoughts."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_thinker
from tiny_gguf import write_tiny_gguf
from tiny_thinker import ANSWER

from models import runtime as runtime_module
from models.compute.estimate import work_of
from models.domain.messages import Message, Sampling, Thought
from models.domain.request import ChatRequest, CompareRequest
from models.domain.settings import Settings
from models.domain.thinking import TemplateThinking, Thinking
from models.domain.variant import Variant
from models.runtime import Runtime
from models.studies.compare import compare

MODEL = "tiny/thinker"


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """A Runtime whose operator's folder has the model."""
    folder = tmp_path_factory.mktemp("models")
    (folder / MODEL).mkdir(parents=True)
    tiny_thinker.build(folder / MODEL)
    settings = Settings(models_dir=str(folder), cache_dir=str(folder / "cache"), context=512, load_anyway=True)
    return Runtime(settings)


def run(runtime, **options):
    variants = tuple(Variant.parse(f"{MODEL}@{mode}") for mode in ("fp32", "bf16"))
    sampling = Sampling(max_new_tokens=20, temperature=0)
    request = CompareRequest.of(variants, "Hi", sampling=sampling, reference=variants[0], **options)
    *steps, whole = compare(runtime, request)
    return steps, whole


def test_answers_are_compared_without_their_thoughts(thinker):
    steps, whole = run(thinker, thinking=Thinking(budget=3), text="abcde vwxyz abcde", rivals=2)
    assert {step.column for step in steps if isinstance(step.event, Thought)} == {0, 1}
    for column in whole.columns:
        assert column.error == ""
        assert (column.answer, column.turns[-1]) == (ANSWER, Message("assistant", ANSWER))
        assert column.thought == "ab"
        assert (column.usage.thinking, column.usage.thought_tokens) == ("budget", 3 + 4)
        assert "".join(token.text for token in column.tokens) == ANSWER
        assert [token.probability for token in column.tokens] == [pytest.approx(column.tokens[0].probability)] * 5
    other = whole.columns[1].figures
    assert (other.parts_at, other.answer_tokens) == (None, len(ANSWER))
    assert whole.columns[1].parts_at_character is None
    assert whole.thinking == Thinking(budget=3)


def test_what_a_template_knows_is_told_before_the_model_is_loaded(thinker, tmp_path):
    known = thinker.thinking(Variant.parse(MODEL))
    assert (known.marks.opens, known.switches) == (("<think>",), ("auto", "on", "off"))
    folder = tmp_path / "smollm2-135m-instruct"
    folder.mkdir()
    tiny = Path(thinker.settings.models_dir, MODEL)
    write_tiny_gguf(tiny, folder / "tiny.gguf")
    own = Runtime(Settings(models_dir=str(tmp_path), cache_dir=str(tmp_path / "cache")))
    assert own.thinking(Variant.parse("smollm2-135m-instruct@gguf")) == known
    assert own.thinking(Variant.parse("gemma-3-270m")) == TemplateThinking(), "a base model has no template"


def test_the_quota_counts_thoughts_of_models_that_think_alone(thinker, monkeypatch):
    asked = []

    def events(job):
        asked.append(job)
        yield from ()

    monkeypatch.setattr(runtime_module, "events", events)
    request = ChatRequest(Variant.parse(f"{MODEL}@fp32"), (Message("user", "Hi"),), Sampling(max_new_tokens=500))
    list(thinker.answer(request))
    (job,) = asked
    assert job.thinking.budget == 500
    plain = replace(job, thinking=replace(job.thinking, budget=None))
    assert work_of(job).tokens == work_of(plain).tokens + 500


def test_the_next_turn_has_no_thoughts(thinker):
    _, whole = run(thinker)
    turns = (*whole.columns[0].turns, Message("user", "More"))
    variant = Variant.parse(f"{MODEL}@fp32")
    *_, further = compare(thinker, CompareRequest((variant,), (turns,), Sampling(max_new_tokens=20, temperature=0)))
    assert further.columns[0].prompt == f"<|user|>Hi<|assistant|>{ANSWER}<|user|>More<|assistant|>"
