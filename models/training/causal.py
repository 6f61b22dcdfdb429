"""What a decoder of this folder is asked for: its loss on rows, text token by token, weights from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .feed_forward import FeedForward
from .llama import Cache, Config, Llama

Decoder = Llama | FeedForward
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def row_losses(model: Decoder, ids: Tensor, filler: int) -> Tensor:
    """Nats of every token that has one before it, flat; ids B x T, padded at the ends with `filler`."""
    wanted = ids[:, 1:]
    real = wanted != filler
    hidden = model.hidden(ids[:, :-1].clamp(min=0))[real]  # before the head: that is most of the work
    return cross_entropy(model.head(hidden).float(), wanted[real], reduction="none")


@torch.inference_mode()
def generate(
    model: Decoder, prompt: Sequence[int], end: int, most: int, temperature: float = 0.0, seed: int = 0
) -> Iterator[int]:
    """New token ids until `end`, which is not given out, or `most` of them; temperature 0 is greedy."""
    model.eval()
    device = next(model.parameters()).device
    dice, cache, ids = torch.Generator().manual_seed(seed), Cache(), torch.tensor([list(prompt)], device=device)
    for _ in range(most):
        logits = model(ids, cache)[0, -1].float().cpu()
        if temperature:
            chosen = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=dice))
        else:
            chosen = int(logits.argmax())
        if chosen == end:
            return
        yield chosen
        ids = torch.tensor([[chosen]], device=device)


def load_llama(folder: Path) -> Llama:
    """The model in a folder of transformers with one file of safetensors, in fp32."""
    from safetensors.torch import load_file

    model = Llama(Config.read(json.loads((folder / CONFIG).read_text(encoding="utf-8"))))
    model.load_state_dict({name: matrix.float() for name, matrix in load_file(folder / WEIGHTS).items()})
    return model
