"""Plans against the memory of a machine: what is counted, what is refused, and what is offered instead."""

from dataclasses import replace

import pytest

from models import planning
from models.domain.catalog import load_catalog
from models.domain.errors import BadContext, DoesNotFit
from models.domain.quantization import MODES, Machine
from models.domain.settings import Settings
from models.engines.device import Memory
from models.planning import Planner, room

CATALOG = load_catalog()
SMOLLM2, LLAMA = CATALOG["smollm2-135m-instruct"], CATALOG["llama-2-70b-chat"]
GB = 10**9


@pytest.fixture
def planner(tmp_path, monkeypatch):
    """A machine with 16 GB, of which 15 are free, and a fifth of them kept for others."""
    monkeypatch.setattr(planning, "memory", lambda: Memory(16 * GB, 15 * GB))
    monkeypatch.setattr("models.compute.job.free_bytes", lambda: 15 * GB)
    return Planner(Settings(cache_dir=str(tmp_path)), Machine("cpu", frozenset({"bitsandbytes"})))


def test_budget_is_what_the_operator_leaves_of_what_is_free(planner, monkeypatch):
    assert (planner.budget().free, planner.budget().total, planner.budget().device) == (12 * GB, 16 * GB, "main memory")
    monkeypatch.setattr(planning, "memory", lambda: Memory(16 * GB, 3 * GB))
    assert planner.budget().free == 3 * GB, "another program took memory meanwhile"


def test_budget_of_a_gpu_that_is_not_there_yet(planner, monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    small = replace(planner, settings=replace(planner.settings, gpu_memory_gb=40.0, memory_fraction=0.5))
    assert (small.budget().total, small.budget().free) == (40 * GB, 20 * GB)


@pytest.mark.parametrize("context", [0, -1, 1.5, "4096", float("nan"), float("inf"), True, 8193, 10**12])
def test_a_context_that_cannot_be(planner, context):
    with pytest.raises(BadContext, match="whole number of tokens from 1 to 8,192"):
        planner.plan(SMOLLM2, MODES["bf16"], context=context)


def test_context_is_what_the_server_gives_unless_asked(planner):
    assert planner.plan(SMOLLM2, MODES["bf16"]).context == 4096
    assert planner.plan(SMOLLM2, MODES["bf16"], context=8192.0).context == 8192
    assert planner.plan(CATALOG["tinyllama-1.1b-chat"], MODES["bf16"]).context == 2048


def test_what_does_not_fit_is_refused_with_numbers_and_what_fits(planner):
    planned = planner.plan(LLAMA, MODES["bf16"])
    assert not planned.fits
    with pytest.raises(DoesNotFit) as caught:
        planner.require(planned, CATALOG.values(), LLAMA)
    message = str(caught.value)
    assert "llama-2-70b-chat@bf16 needs about 1" in message
    assert "12.0 GB is available" in message
    assert "What fits: llama-2-" in message
    for found in planner.nearest(CATALOG.values(), LLAMA):
        assert found.fits
        assert found.variant in message


def test_the_operator_may_override(planner):
    anyway = replace(planner, settings=replace(planner.settings, load_anyway=True))
    anyway.require(anyway.plan(LLAMA, MODES["bf16"]), CATALOG.values(), LLAMA)


def test_torch_is_counted_once_and_llama_cpp_with_each_model(planner):
    bf16, gguf = (planner.plan(SMOLLM2, MODES[name]) for name in ("bf16", "gguf"))
    libraries = next(part.bytes for part in bf16.parts if part.key == "framework")
    assert room(bf16).total == bf16.total - libraries
    assert room(gguf).total == gguf.total
    assert (room(bf16).weights, gguf.batch) == (bf16.weights, 4)
