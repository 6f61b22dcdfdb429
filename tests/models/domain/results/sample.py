"""A comparison with every kind of thing in it, and a column that failed."""

from models.domain.messages import Message, Sampling, Usage
from models.domain.results.comparison import Compared, Comparison, TokenView
from models.domain.results.measured import Measured

WHEN = "2026-01-02T03:04:05+00:00"
USAGE = Usage("m@bf16", "transformers", 38, 0, 12, 2048, 0.2, 181.0, 17.0, 3.1, 1.2, 800_000_000, 7, "stop")
FIGURES = Measured("m@bf16", True, 269_000_000, 270_000_000, 900_000_000, 0.4, 0.2, 17.0, 12.0, 1.0, 1.0, 0.0, None, 64)
FULL = Compared(
    "m",
    "m@bf16",
    "instruct",
    "<|user|>Why?",
    (Message("system", "Be brief."), Message("user", "Why?"), Message("assistant", "Because.")),
    "Because.",
    USAGE,
    FIGURES,
    1_100_000_000,
    "llama-49152",
    3,
    (TokenView("Because", 0.75, ((" Since", 0.2),)), TokenView(".", 1.0)),
)
OTHER = Compared("m@nf4", error="There was not enough memory | while loading.")
COMPARISON = Comparison(
    ("Why?",),
    (FULL, OTHER),
    WHEN,
    "Be brief.",
    Sampling(temperature=0, seed=7, stop=("\n\n",)),
    "m",
    "A text.",
    {"torch": "2.9"},
    {"cores": 2, "device": None, "flags": ["avx2", True], "memory": {"total": 8.5}},
)
