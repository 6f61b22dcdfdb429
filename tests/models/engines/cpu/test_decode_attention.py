"""Attention for one new token is that of plain torch in fp32, up to the rounding of bf16, on any CPU."""

from types import SimpleNamespace

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from models.engines.cpu.decode_attention import NAME, _attention
from models.engines.transformers.engine_thread import engine_thread


@pytest.mark.parametrize(("heads", "kv_heads"), [(9, 3), (4, 4), (8, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_plain_attention_in_fp32(heads, kv_heads, masked):
    query = torch.randn(3, heads, 1, 64, dtype=torch.bfloat16)
    key, value = torch.randn(2, 3, kv_heads, 70, 64, dtype=torch.bfloat16)
    mask = torch.arange(70).ge(torch.tensor([0, 5, 60])[:, None])[:, None, None] if masked else None

    def work():
        return _attention(None, query, key, value, mask, scaling=0.2)[0]

    whole_key, whole_value = (part.float().repeat_interleave(heads // kv_heads, 1) for part in (key, value))
    scores = 0.2 * query.float() @ whole_key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    expected = (scores.softmax(-1) @ whole_value).transpose(1, 2)
    torch.testing.assert_close(engine_thread().run(work).float(), expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize(("heads", "kv_heads"), [(9, 3), (4, 4)])
def test_it_rounds_no_more_than_torchs_own_kernel_in_bf16(heads, kv_heads):
    groups = SimpleNamespace(num_key_value_groups=heads // kv_heads, is_causal=False)

    def work():
        ours = theirs = 0.0
        for _ in range(50):
            query = torch.randn(1, heads, 1, 64, dtype=torch.bfloat16)
            key, value = torch.randn(2, 1, kv_heads, 300, 64, dtype=torch.bfloat16)
            whole = [part.float().repeat_interleave(heads // kv_heads, 1) for part in (key, value)]
            exact = torch.nn.functional.scaled_dot_product_attention(query.float(), *whole, scale=0.3).transpose(1, 2)
            ours += float((_attention(groups, query, key, value, None, scaling=0.3)[0] - exact).square().sum())
            plain = sdpa_attention_forward(groups, query, key, value, None, scaling=0.3)[0]
            theirs += float((plain - exact).square().sum())
        return ours, theirs

    ours, theirs = engine_thread().run(work)
    assert 0 < ours <= 1.02**2 * theirs


@pytest.mark.parametrize(("mode", "ours"), [("fp32", False), ("bf16", True), ("nf4", True)])
def test_it_is_set_where_the_model_computes_in_bf16(opened, tiny_folder, mode, ours):
    engine = opened(tiny_folder, mode)
    assert (engine._loaded.model.config._attn_implementation == NAME) == ours
    engine.close()
