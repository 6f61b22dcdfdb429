"""Rows as batches, and the loss over such batches that is only looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .answer_labels import UNLABELLED, Example
from .sharded import own_rows, summed


def collate(rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    """Rows as one batch, padded at their ends to the longest, with logits only where some row has something to learn.

    For a vocabulary that is large beside the model the head is a fifth of the work, and its logits of the memory.
    """
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, filler: int) -> Any:
        return torch.tensor([[*row[name], *[filler] * (longest - len(row[name]))] for row in rows])

    labels = padded("labels", UNLABELLED)
    following = torch.nn.functional.pad(labels, (0, 1), value=UNLABELLED)[:, 1:]
    kept = (following != UNLABELLED).any(0).nonzero().flatten()
    return {
        "input_ids": padded("input_ids", 0),
        "attention_mask": torch.tensor([[int(at < len(row["input_ids"])) for at in range(longest)] for row in rows]),
        "labels": labels,
        "shift_labels": following[:, kept].contiguous(),
        "logits_to_keep": kept,
    }


def held_out_loss(
    model: Any, examples: Sequence[Example], batch: int, on_batch: Callable[[int, int], None], processes: int = 1
) -> float:
    """The mean over all labelled tokens of all rows, in nats; `on_batch` is told how many batches of how many.

    Several `processes` call it together, and each computes its rows.
    """
    import torch

    model.eval()
    ordered = sorted(examples, key=lambda example: len(example.ids))
    starts = range(0, len(ordered), batch)
    total, count = 0.0, 0.0
    for number, start in enumerate(starts):
        on_batch(number, len(starts))
        rows = [{"input_ids": row.ids, "labels": row.labels} for row in ordered[start : start + batch]]
        inputs = collate(rows) if processes == 1 else own_rows(collate(rows))
        inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
        del inputs["labels"]
        wanted = inputs.pop("shift_labels").flatten()
        with torch.inference_mode() if processes == 1 else torch.no_grad():  # gathered weights are computed with again
            logits = model(**inputs, use_cache=False).logits.float().flatten(0, 1)
            losses = torch.nn.functional.cross_entropy(logits, wanted, ignore_index=UNLABELLED, reduction="sum")
        total, count = total + float(losses), count + int((wanted != UNLABELLED).sum())
    if processes > 1:
        total, count = summed(total, count)
    return total / count
