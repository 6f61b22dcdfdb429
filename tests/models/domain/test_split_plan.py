"""Which models can lie over several processes, and what one of them takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.domain.catalog import load_catalog
from models.domain.memory.plan import Budget, plan
from models.domain.memory.sharded_plan import sharded_parts
from models.domain.memory.split_plan import counts, split, why_whole
from models.domain.quantization import MODES, Machine
from models.domain.training import TrainingSettings
from tests.bench import at_scale

CARDS = load_catalog()
GB = 10**9


@pytest.mark.parametrize(
    ("model", "mode", "processes", "words"),
    [
        ("smollm2-135m-instruct", "bf16", 3, ""),
        ("smollm2-135m-instruct", "bf16", 2, "its 9 heads of attention"),
        ("llama-3.1-8b-instruct", "fp16", 8, ""),
        ("llama-3.1-8b-instruct", "bf16", 16, "its 8 heads of keys and values"),
        ("llama-3.1-8b-instruct", "nf4", 2, "nf4 is computed in one process"),
        ("gemma-3-270m", "bf16", 2, "its 1 heads of keys and values"),
    ],
)
def test_heads_decide(model, mode, processes, words):
    reason = why_whole(CARDS[model].sizes, mode, processes)
    assert (reason.startswith(words) and reason) if words else not reason


def test_a_process_takes_its_part():
    card, mode = CARDS["llama-3.1-8b-instruct"], MODES["bf16"]
    whole = plan("v", card, mode, Machine("cuda"), Budget("a GPU", 24 * GB, 20 * GB), 4096)
    assert counts(card.sizes, "bf16") == [2, 4, 8]
    half = split(whole, card.sizes, 2, 1)
    sizes = {part.key: part.bytes for part in whole.parts}, {part.key: part.bytes for part in half.parts}
    for key in ("linear", "head", "kv"):
        assert sizes[1][key] == sizes[0][key] // 2
    assert sizes[1]["embeddings"] == sizes[0]["embeddings"]
    assert whole.peak - half.peak == sum(sizes[0][key] // 2 for key in ("linear", "head", "kv"))
    assert split(whole, card.sizes, 2, 2).budget.free == 10 * GB


def test_a_training_in_parts_takes_less_the_more_there_are():
    card, mode = CARDS["llama-3.1-8b-instruct"], MODES["nf4"]
    planned = plan("v", card, mode, Machine("cuda"), Budget("a GPU", 24 * GB, 20 * GB), 4096)
    settings = TrainingSettings(batch=8, quantization="nf4")

    def parts(processes, settings=settings):
        found = sharded_parts(planned, card.sizes, settings, 512, card.sizes.embedding_parameters * 2, processes)
        return {part.key: part.bytes for part in found}

    two, four = parts(2), parts(4)
    for key in ("base", "optimizer", "activations", "logits"):
        assert four[key] == pytest.approx(two[key] / 2, rel=1e-6)
    assert (four["own"], four["gathered"]) == (two["own"], two["gathered"])
    assert parts(4, replace(settings, batch=9))["logits"] == pytest.approx(3 / 2 * four["logits"])


def test_the_table_of_the_docs_is_what_the_plan_says():
    page = (Path(__file__).parents[3] / "docs" / "training-at-scale.md").read_text()
    assert "\n".join(at_scale.lines()) in page
