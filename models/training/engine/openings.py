"""How a model that learns goes on with the openings of rows that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...engines.transformers.loader import Loaded
from .answer_labels import UNLABELLED, Example

MOST, NEW = 2, 40  # openings, and tokens of each
HALF = "\ufffd"  # a character whose last bytes would have come next


def openings(examples: Sequence[Example]) -> list[list[int]]:
    """Token ids of the first ones: what stands before an answer, or the first quarter of a text."""
    found = []
    for example in examples[:MOST]:
        learned = next((at for at, label in enumerate(example.labels) if label != UNLABELLED), 0)
        found.append(list(example.ids[: learned if learned > 1 else max(1, len(example.ids) // 4)]))
    return found


def continued(model: Any, loaded: Loaded, ids: Sequence[Sequence[int]]) -> Iterator[tuple[str, str]]:
    """Each opening with what follows it, greedy."""
    import torch

    model.eval()
    for opening in ids:
        given = torch.tensor([list(opening)], device=model.device)
        with torch.inference_mode():
            whole = model.generate(
                input_ids=given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=NEW,
                do_sample=False,
                eos_token_id=list(loaded.eos_ids) or None,
                pad_token_id=0,
            )
        new = whole[0, len(opening) :]
        asked, text = (loaded.tokenizer.decode(part, skip_special_tokens=True).strip() for part in (opening, new))
        yield asked, text.rstrip(HALF)
