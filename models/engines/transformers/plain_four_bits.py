"""4-bit layers as their file has them, to be learned through or to be written: not in the order of a fast kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_four_bits(mode: str) -> Iterator[None]:
    """Load 4-bit layers that keep their plain layout on a CPU with AVX512-BF16.

    There, a layer's first forward pass in eval mode reorders its weights for a kernel. No gradient flows through that,
    so that all layers but the last would learn nothing; and what is written of it later has other scales, since they
    were rounded to bf16. Layers ask once, when they are made (bitsandbytes 0.50).
    """
    if mode in ("fp32", "bf16", "fp16"):
        yield
        return
    from bitsandbytes.nn import modules

    asked = modules.has_avx512bf16
    modules.has_avx512bf16 = lambda: False
    try:
        yield
    finally:
        modules.has_avx512bf16 = asked
