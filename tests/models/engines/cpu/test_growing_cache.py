"""A cache that grows in blocks holds what transformers' own holds, and no copy of it ever changes."""

import copy

import pytest
import torch
from transformers import DynamicCache, Gemma3TextConfig, LlamaConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from models.engines.cpu.growing_cache import BLOCK, empty_cache, growing_layer

GrowingLayer = growing_layer()


def states(tokens, seed=0, rows=1):
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(rows, 2, tokens, size, generator=generator) for size in (4, 6)]
    return draw[0], draw[1]


def same(layer, other):
    return torch.equal(layer.keys, other.keys) and torch.equal(layer.values, other.values)


@pytest.mark.parametrize(
    "lengths", [[1] * 5, [BLOCK, 1], [BLOCK - 1, 1, 1], [3, 2 * BLOCK, 1, BLOCK], [1] * (BLOCK + 2)]
)
def test_it_holds_what_the_plain_layer_holds(lengths):
    layer, plain = GrowingLayer(), DynamicLayer()
    for seed, tokens in enumerate(lengths):
        given = layer.update(*states(tokens, seed, rows=3))
        expected = plain.update(*states(tokens, seed, rows=3))
        assert all(map(torch.equal, given, expected))
        assert layer.get_seq_length() == plain.get_seq_length() == given[0].shape[-2]


def test_a_token_is_written_into_its_place():
    layer = GrowingLayer()
    layer.update(*states(10))
    place = layer.keys.data_ptr()
    for seed in range(BLOCK - 10):
        layer.update(*states(1, seed))
    assert layer.keys.data_ptr() == place
    layer.update(*states(1))
    assert layer.keys.data_ptr() != place


@pytest.mark.parametrize("cut", [0, 1, 4])
@pytest.mark.parametrize("first", ["copy", "original"])
def test_copies_go_on_apart(cut, first):
    pairs = []
    for kind in (GrowingLayer, DynamicLayer):
        original = kind()
        original.update(*states(5))
        other = copy.copy(original)
        other.crop(-cut)
        if first == "copy":
            other.update(*states(2, 1))
            original.update(*states(3, 2))
        else:
            original.update(*states(3, 2))
            other.update(*states(2, 1))
        original.update(*states(1, 3))
        other.update(*states(1, 4))
        pairs.append((original, other))
    (original, other), (plain, plain_other) = pairs
    assert same(original, plain)
    assert same(other, plain_other)


def test_one_that_was_cut_writes_nothing_into_what_a_copy_holds():
    layer = GrowingLayer()
    layer.update(*states(5))
    kept = copy.copy(layer)
    before = kept.keys.clone()
    layer.crop(-2)
    layer.update(*states(2, 1))
    assert torch.equal(kept.keys, before)


def test_other_rows_and_a_new_beginning():
    layer, plain = GrowingLayer(), DynamicLayer()
    for one in (layer, plain):
        one.update(*states(5, rows=2))
        one.batch_select_indices(torch.tensor([1]))
        one.update(*states(1, 1))
    assert same(layer, plain)
    for one in (layer, plain):
        one.reset()
        one.update(*states(2, 2))
    assert same(layer, plain)


def test_only_layers_of_full_attention_grow():
    config = Gemma3TextConfig(
        num_hidden_layers=2, sliding_window=8, layer_types=["sliding_attention", "full_attention"]
    )
    assert [type(layer) for layer in empty_cache(config).layers] == [DynamicSlidingWindowLayer, GrowingLayer]
    llama = empty_cache(LlamaConfig(num_hidden_layers=3))
    assert [type(layer) for layer in llama.layers] == [GrowingLayer] * 3
    assert isinstance(DynamicCache(config=LlamaConfig(num_hidden_layers=1)).layers[0], DynamicLayer)
    assert type(DynamicCache(config=LlamaConfig(num_hidden_layers=1)).layers[0]) is DynamicLayer  # transformers' stays
