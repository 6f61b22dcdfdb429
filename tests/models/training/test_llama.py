"""Our Llama against transformers': logits, gradients, text with a cache, folders in both directions."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from models.training.causal import generate, load_llama, row_losses
from models.training.feed_forward import FeedForward
from models.training.llama import Config, Llama, Llama3Scaling
from tests.conftest import SMOLLM2

TINY = Config(
    vocab_size=61, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, max_position_embeddings=256,
)  # fmt: skip
SCALED = Llama3Scaling(factor=4.0, original_max_position_embeddings=24)
CONFIGS = {
    "1 head of keys": replace(TINY, num_key_value_heads=1),
    "2 heads, own head": replace(TINY, tie_word_embeddings=False),
    "6 heads, base 500,000": replace(TINY, num_key_value_heads=6, rope_theta=500_000.0),
    "scaled rotations": replace(TINY, scaling=SCALED),
    "1 head, own head, scaled": replace(TINY, num_key_value_heads=1, tie_word_embeddings=False, scaling=SCALED),
}


@pytest.fixture(params=CONFIGS)
def pair(request, tmp_path):
    """Ours with random weights, and transformers' of the folder that ours makes."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    ours = Llama(CONFIGS[request.param])
    for parameter in ours.parameters():  # norms other than one, logits that are far apart
        parameter.data += 0.2 * torch.randn_like(parameter)
    (tmp_path / "config.json").write_text(json.dumps(ours.config.to_dict()))
    save_file(ours.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    theirs, report = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, output_loading_info=True)
    assert not any(report.values())  # no weight is missing, left over or of another shape
    assert type(theirs).__name__ == "LlamaForCausalLM"
    return ours, theirs, tmp_path


def test_logits_and_gradients_are_those_of_transformers(pair):
    ours, theirs, _ = pair
    ids = torch.randint(61, (3, 40))
    logits = theirs(ids).logits
    assert (ours(ids) - logits).abs().max() < 1e-4
    assert logits.std() > 0.5
    row_losses(ours, ids, filler=-1).mean().backward()
    theirs(ids, labels=ids).loss.backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    found = {name: parameter.grad for name, parameter in ours.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (gradient - expected[name]).abs().max() < 1e-4, name
    assert sum(float(gradient.abs().sum()) for gradient in found.values()) > 1


def test_greedy_text_with_the_cache_is_that_of_transformers(pair):
    ours, theirs, _ = pair
    prompt = [5, 9, 2, 33]
    expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False, eos_token_id=None)
    assert list(generate(ours, prompt, end=-1, most=40)) == expected[0, 4:].tolist()


def test_a_folder_that_transformers_writes_is_read(pair, tmp_path):
    ours, theirs, _ = pair
    theirs.save_pretrained(tmp_path / "theirs")
    again = load_llama(tmp_path / "theirs")
    ids = torch.randint(61, (1, 30))
    assert again.config == ours.config
    assert torch.equal(again(ids), ours(ids))


def test_several_new_tokens_on_a_cache_see_what_they_would_see_at_once():
    torch.manual_seed(1)
    model, ids = Llama(replace(TINY, tie_word_embeddings=False)), torch.randint(61, (2, 20))
    cache = []
    parts = [model(part, cache) for part in ids.split([7, 6, 1, 6], 1)]
    assert (torch.cat(parts, 1) - model(ids)).abs().max() < 1e-5


def test_padding_changes_no_loss():
    torch.manual_seed(2)
    model, ids = Llama(TINY), torch.randint(61, (1, 20))
    short = torch.cat([ids[:, :12], torch.full((1, 8), -1)], 1)
    together = row_losses(model, torch.cat([ids, short]), filler=-1)
    apart = torch.cat([row_losses(model, ids, -1), row_losses(model, ids[:, :12], -1)])
    assert (together - apart).abs().max() < 1e-5


def test_the_baseline_knows_only_the_current_token():
    model = FeedForward(TINY)
    ids = torch.tensor([[3, 4, 5], [9, 8, 5]])
    here, there = model(ids)
    assert torch.allclose(here[-1], there[-1], atol=1e-6)
    assert not torch.allclose(here[0], there[0], atol=1e-2)


def test_what_is_not_computed_is_refused():
    said = TINY.to_dict() | {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 10_000.0}}
    with pytest.raises(ValueError, match="yarn"):
        Config.read(said)


@pytest.mark.slow
def test_smollm2_is_computed_as_by_transformers(runtime):
    from pathlib import Path

    from transformers import AutoModelForCausalLM, AutoTokenizer

    from models.domain.variant import Variant

    snapshot = runtime.fetch(runtime.resolve(Variant(SMOLLM2, "fp32"), runtime.card(Variant(SMOLLM2)))[0], print)
    ours = load_llama(Path(snapshot.path))
    theirs = AutoModelForCausalLM.from_pretrained(snapshot.path, dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(snapshot.path)(
        "A horse stands in the paddock, and", return_tensors="pt"
    ).input_ids
    with torch.inference_mode():
        assert (ours(ids) - theirs(ids).logits).abs().max() < 1e-4
    expected = theirs.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=None)
    assert list(generate(ours, ids[0].tolist(), end=-1, most=24)) == expected[0, ids.shape[1] :].tolist()
