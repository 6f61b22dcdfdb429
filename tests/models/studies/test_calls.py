"""How a press is put into GPU calls on ZeroGPU, and what it will cost, before anything is computed."""

from dataclasses import replace

import pytest

from models.compute.estimate import SPEEDS, Work
from models.domain.memory.plan import Budget
from models.domain.messages import Sampling
from models.domain.quantization import Machine
from models.domain.request import CompareRequest, CompletionRequest
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.engines.device import accelerator
from models.planning import Planner
from models.runtime import Runtime
from models.studies.calls import answer_cost, calls, comparison_cost

SMALL, OTHER = "smollm2-135m-instruct", "qwen2.5-0.5b-instruct"


@pytest.fixture
def runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(Planner, "budget", lambda planner: Budget("GPU", 48 * 10**9, 38 * 10**9))
    found = Runtime(Settings(cache_dir=str(tmp_path)))
    found.machine = Machine("cuda", frozenset({"bitsandbytes"}), True)
    found.planner = Planner(found.settings, found.machine)
    yield found
    accelerator.cache_clear()  # or the tests after these would compute on a GPU that is not there


def compared(*spellings, tokens=200, **asked):
    variants = [Variant.parse(each) for each in spellings]
    return CompareRequest.of(variants, "Hi", sampling=Sampling(max_new_tokens=tokens), **asked)


def test_all_modes_and_bases_are_one_call_and_gguf_is_none(runtime):
    cost = comparison_cost(runtime, compared(f"{SMALL}@bf16", f"{SMALL}@nf4", f"{OTHER}@bf16", f"{SMALL}@gguf"))
    assert cost.calls == 1
    assert cost.seconds > comparison_cost(runtime, compared(f"{SMALL}@bf16")).seconds
    assert comparison_cost(runtime, compared(f"{SMALL}@gguf")).seconds == 0
    assert not cost.cut


def test_what_is_over_the_limit_of_a_call_needs_more_of_them(runtime):
    both = compared(f"{SMALL}@bf16", f"{OTHER}@bf16", tokens=2000)
    cost = comparison_cost(runtime, both)
    assert (cost.calls, cost.seconds <= 2 * runtime.settings.gpu_seconds) == (2, True)
    small = replace(runtime.settings, gpu_seconds=30)
    runtime.settings = small
    assert comparison_cost(runtime, both).cut, "an answer may end early"
    assert comparison_cost(runtime, both).seconds == 60


def test_a_later_part_fills_an_earlier_call(runtime, monkeypatch):
    needed = {"70": 70, "60": 60, "50": 50, "60b": 60}
    monkeypatch.setattr(SPEEDS, "needed_s", lambda works, *_: sum(needed[work.variant] for work in works))
    monkeypatch.setattr("models.studies.calls.works_of", lambda group, one_pass: [Work(group, 0)])
    made = calls(runtime, list(needed), False)
    assert [call.groups for call in made] == [("70", "50"), ("60", "60b")]


def test_an_answer_costs_its_start_its_load_and_its_tokens(runtime):
    def cost(tokens):
        return answer_cost(runtime, CompletionRequest(Variant(SMALL, "bf16"), "Hi", Sampling(max_new_tokens=tokens)))

    assert cost(1).seconds < cost(500).seconds
    assert cost(500).calls == 1
    work = runtime.work(Variant(SMALL, "bf16"), tokens=500, characters=2)
    assert cost(500).seconds == pytest.approx(SPEEDS.needed_s([work]), abs=1)


def test_nothing_is_lent_elsewhere(runtime, monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU")
    assert answer_cost(runtime, CompletionRequest(Variant(SMALL, "bf16"), "Hi")) is None
    assert comparison_cost(runtime, compared(f"{SMALL}@bf16")) is None
    assert runtime.work(Variant(SMALL, "bf16")) is None
