"""`to-gguf`: a variant as a GGUF file for llama.cpp."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..domain.settings import Settings
from ..domain.units import size
from ..domain.variant import Variant
from ..engines.llama.export.types import FILE_TYPES
from ..runtime import Runtime
from ..workshop.to_gguf import to_gguf
from .terminal import ProgressLine

HELP = "write a variant as a GGUF file for llama.cpp, with its adapters merged"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("variant", help="MODEL[@fp32|bf16|fp16][+ADAPTER[:WEIGHT]]...")
    command.add_argument("--as", dest="kind", choices=FILE_TYPES, default="q4_k_m", help="%(default)s if left out")
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help="a file that does not exist yet")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    line = ProgressLine()
    found = to_gguf(
        runtime, Variant.parse(options.variant), options.kind, options.out.expanduser().absolute(), line.show
    )
    line.clear()
    print(options.out)
    print(f"{size(found.bytes)}, {found.bits:.2f} bits a parameter, tokenizer metadata included")
    print(f"perplexity {found.perplexity:.3f}, of its source {found.source:.3f}")
    print(f"same next token {100 * found.agreement:.1f} % · KL divergence at least {found.divergence:.4f} nats a token")
    return 0
