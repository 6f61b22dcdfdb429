"""How many threads MKL, which torch on a CPU calls for products in fp32, gives to one product."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


@contextmanager
def products_on_one_thread() -> Iterator[None]:
    """Compute the fp32 products of this thread without a second one, whose waking takes longer than a small product.

    torch's own setting is for all of its kernels; MKL has one for the calling thread (mkl_set_num_threads_local).
    Without MKL, or where torch hides it, nothing happens.
    """
    set_threads = _setting()
    if set_threads is None:
        yield
        return
    before = set_threads(1)
    try:
        yield
    finally:
        set_threads(before)


@cache
def _setting() -> Any:
    import torch

    try:
        return ctypes.PyDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).MKL_Set_Num_Threads_Local
    except (OSError, AttributeError):
        return None
