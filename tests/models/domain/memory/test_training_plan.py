"""What a step of training takes, held against what was measured, and the batches that are offered instead."""

import pytest

from models.domain.catalog import load_catalog
from models.domain.memory.plan import Part
from models.domain.memory.training_plan import TrainingPlan, disk_bytes, smaller_batches, step_parts, trained_values
from models.domain.training import TrainingSettings


def step_bytes(settings, longest):
    shape = load_catalog()["smollm2-135m-instruct"].shape
    return sum(part.bytes for part in step_parts(shape, settings, longest, 4))


def test_memory_grows_with_the_batch_and_the_longest_row():
    small = step_bytes(TrainingSettings(batch=1), 100)
    assert step_bytes(TrainingSettings(batch=8), 100) > 4 * small
    # 8 rows of 48 and of 96 tokens were measured to take 1.01 and 2.05 GiB beside the weights.
    for tokens, measured in ((48, 1011), (96, 2054)):
        assert step_bytes(TrainingSettings(batch=8), tokens) / 2**20 == pytest.approx(measured, rel=0.1)


def test_of_a_whole_model_the_optimizer_and_the_disk_grow_with_its_parameters():
    shape = load_catalog()["smollm2-135m-instruct"].shape
    lora, full = TrainingSettings(batch=1), TrainingSettings(batch=1, method="full")
    assert trained_values(shape, full) == 134_515_008
    assert step_bytes(full, 100) - step_bytes(lora, 100) == 12 * 134_515_008 - 16 * trained_values(shape, lora)
    assert disk_bytes(shape, full) == 30 * 134_515_008


def test_with_checkpointed_activations_it_is_what_a_gpu_took():
    shape = load_catalog()["smollm2-135m-instruct"].shape
    # One H200: the peak that torch counted for 8 rows of 404 tokens, without the weights of the base.
    for mode, value_bytes, weights, peak in (("bf16", 2, 257, 2281), ("fp32", 4, 513, 2646)):
        settings = TrainingSettings(batch=8, quantization=mode)
        planned = sum(part.bytes for part in step_parts(shape, settings, 404, value_bytes, checkpointed=True))
        assert planned / 2**20 == pytest.approx(peak - weights, rel=0.1)


def test_smaller_batches_make_the_same_steps():
    offered = [(one.batch, one.accumulate) for one in smaller_batches(TrainingSettings(batch=8, accumulate=3))]
    assert offered == [(6, 4), (4, 6), (3, 8), (2, 12), (1, 24)]
    assert not list(smaller_batches(TrainingSettings(batch=1)))


def test_a_plan_in_words():
    assert not TrainingPlan((Part("base", "base", 100),), 140, "this machine").tight
    assert TrainingPlan((Part("base", "base", 100),), 120, "this machine").tight
    plan = TrainingPlan((Part("base", "base", 5 * 10**8), Part("logits", "logits", 10**9)), 4 * 10**9, "this machine")
    assert plan.sentence() == "memory: base 500 MB, logits 1.0 GB; 1.5 GB of the 4.0 GB free on this machine"
