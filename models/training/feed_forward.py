"""The baseline that Llama is held against: two linear layers that know the current token and nothing before it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from .llama import Cache, Config


class FeedForward(nn.Module):
    """Embeddings, a layer with ReLU, a layer to the vocabulary; of a Llama's config it takes the two widths."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.inner = nn.Linear(config.hidden_size, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)

    def hidden(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """B x T ids -> B x T x C values before the last layer; there is nothing to remember."""
        return relu(self.inner(self.embed_tokens(ids)))

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        return self.head(self.hidden(ids))
