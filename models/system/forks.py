"""What a process that ZeroGPU forks from this one must find: locks that nobody holds, and files that nobody removed."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any


def prepare() -> None:
    """Before anything else is imported: hooks of libraries that run after a fork come after ours."""
    # `spaces` removes weight files that were mapped when it packed a model; ours are read again by other modes.
    os.environ.setdefault("ZEROGPU_MMAP_AUTOPRUNE_PATTERN", "/nothing/is/removed")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_free_locks)


def _free_locks() -> None:
    """A thread that held them is not in the child, and would never let go."""
    http: Any = sys.modules.get("huggingface_hub.utils._http")
    if http:
        http._GLOBAL_CLIENT = None  # its own hook closes it, under the pool's lock
        http._CLIENT_LOCK = threading.Lock()
    bars: Any = sys.modules.get("tqdm.std")
    if bars:
        lock = bars.TqdmDefaultWriteLock
        lock.th_lock = threading.RLock()
        bars.tqdm.get_lock().locks = [each for each in (getattr(lock, "mp_lock", None), lock.th_lock) if each]
