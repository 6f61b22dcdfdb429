"""The smallest model that answers well, for real: it chats, is scored, and is compared with a toy (1.1 GB, once)."""

import pytest

from models.domain.messages import Delta, Message, Sampling
from models.domain.request import ChatRequest, CompareRequest
from models.domain.results.comparison import Comparison
from models.domain.variant import Variant
from models.studies.compare import compare
from tests.conftest import SMOLLM2

GOOD = "qwen2.5-coder-1.5b-instruct"
TEXT = "The Amazon is a river in South America. It flows east, from the Andes to the Atlantic Ocean."
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def asked(runtime, question):
    request = ChatRequest(Variant(GOOD, "gguf"), (Message("user", question),), Sampling(120, temperature=0))
    return "".join(event.text for event in runtime.answer(request) if isinstance(event, Delta))


def test_it_answers_well(runtime):
    assert "[::-1]" in asked(runtime, "Write a Python function that reverses a string, in one line.")
    assert "Canberra" in asked(runtime, "What is the capital of Australia? One word.")
    assert "北京" in asked(runtime, "中国的首都是哪里？")


def test_it_is_scored_and_compared_with_a_toy(runtime):
    variants = (Variant(GOOD, "gguf"), Variant(SMOLLM2, "gguf"))
    question = "What is 17 + 25? Answer with the number alone."
    *_, whole = compare(runtime, CompareRequest.of(variants, question, sampling=Sampling(16, temperature=0), text=TEXT))
    assert isinstance(whole, Comparison)
    good, toy = whole.columns
    assert not good.error
    assert not toy.error
    assert good.answer.strip() == "42"
    assert "42" not in toy.answer
    assert good.figures.perplexity < toy.figures.perplexity
    assert abs(good.figures.measured_bytes / good.figures.predicted_bytes - 1) < 0.02
