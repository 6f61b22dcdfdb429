"""Attention for one new token on a CPU in bf16: torch's kernel is slow for a single query row of a head.

Several query heads share one key-value head (grouped-query attention, Ainslie et al. 2023, arXiv:2305.13245). Handed to
the kernel as that many rows of one head, they are computed by matrix products: 4 to 6 times as fast at 2,000 tokens of
context. A head that shares with no other is computed as two equal rows.
"""

from __future__ import annotations

from typing import Any

NAME = "sdpa_with_rows"


def attend_by_rows(model: Any) -> None:
    """Set it for a bf16 model on a CPU that uses torch's scaled dot product attention."""
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if model.device.type != "cpu" or model.dtype != torch.bfloat16 or model.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **others: Any
) -> tuple[Any, None]:
    """Shapes as transformers gives them: query [batch, heads, tokens, size], key and value with their own heads."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    batch, heads, tokens, size = query.shape
    if tokens > 1:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)
        return output, None
    rows = heads // key.shape[1]
    query = query.reshape(batch, -1, rows, size) if rows > 1 else torch.cat((query, query), 2)
    attend = torch.nn.functional.scaled_dot_product_attention
    output = attend(query, key, value, attn_mask=attention_mask, scale=scaling)
    return output[:, :, :rows].reshape(batch, 1, heads, -1), None
