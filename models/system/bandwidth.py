"""How fast this machine reads its main memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

BYTES = 128 << 20  # beyond the caches of most processors
PASSES = 4


def read_bandwidth(threads: int) -> float:
    """Bytes a second with so many threads, the best of a few passes over 128 MiB; takes about a tenth of a second."""
    words = np.ones(BYTES // 8, dtype=np.uint64)
    slices = np.array_split(words, threads)
    with ThreadPoolExecutor(threads) as pool:

        def once() -> float:
            start = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, slices))  # releases the GIL
            return time.perf_counter() - start

        return BYTES / min(once() for _ in range(PASSES))
