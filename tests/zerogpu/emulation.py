"""`python emulation.py SCRIPT`: run a script under the real `spaces` worker code where there is no GPU.

Real are its decorator, its scheduling client, fork, queues, cancel, packing, and its emulation in the main process.
Changed is what a build of torch without CUDA lacks, and “cuda” in a worker, which is main memory there.
"""

from __future__ import annotations

import runpy
import sys
import threading
from pathlib import Path
from typing import Any

# What a worker goes on seeing of the GPU that `spaces` describes to the main process.
KEPT = (
    "is_available",
    "device_count",
    "current_device",
    "synchronize",
    "cudart",
    "get_device_capability",
    "get_device_properties",
    "get_device_name",
)


def build_with_cuda() -> None:
    """Have torch say what `spaces` asks of it, before the first `import spaces`."""
    import torch

    if torch.version.cuda is None:
        import bitsandbytes  # noqa: F401 - before torch says that it has CUDA, so that its CPU library is loaded

        torch.version.cuda = "13.0"
    if not hasattr(torch._C, "_cuda_init"):
        torch._C._cuda_init = lambda: None
    if hasattr(torch.cuda._is_in_bad_fork, "__code__"):
        torch.cuda._is_in_bad_fork.__qualname__ = "_is_in_bad_fork"  # a lambda here, which cannot be pickled


def prepare() -> None:
    """Import `spaces`, with SPACES_ZERO_GPU set, and give its workers main memory for “cuda”."""
    import torch

    from models.system import stubs

    build_with_cuda()
    with stubs.left_out():  # as in models/compute/gpu.py
        import spaces  # noqa: F401
    from spaces.zero import torch as zero_torch

    unpatch = zero_torch.unpatch

    def unpatch_but_for_the_device() -> None:
        """The first thing that a forked worker does."""
        seen = {name: getattr(torch.cuda, name) for name in KEPT}
        unpatch()
        for name, value in seen.items():
            setattr(torch.cuda, name, value)
        _memory_for_cuda()

    zero_torch.unpatch = unpatch_but_for_the_device


def _memory_for_cuda() -> None:
    """From now on “cuda” is main memory in every thread of this process; a move always copies, as a real one does."""
    import torch
    from spaces.zero.torch.utils import empty_like_raw_alloc
    from torch.overrides import TorchFunctionMode

    def is_cuda(device: Any) -> bool:
        return device is not None and torch.device(device).type == "cuda"

    class MemoryForCuda(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func is torch.Tensor.pin_memory:  # aligned to pages, as the reads without the page cache need it
                return empty_like_raw_alloc(args[0]).copy_(args[0])
            if func is torch.Tensor.cuda:
                return args[0].clone()
            if func is torch._C._nn._parse_to:
                return func(*args, **kwargs)
            if func is torch.Tensor.to:
                args, kwargs = _named_device(args, kwargs)
                if is_cuda(kwargs.get("device")):
                    kwargs.update(device="cpu", copy=True)
            elif is_cuda(kwargs.get("device")):
                kwargs["device"] = "cpu"
            return func(*args, **kwargs)

    MemoryForCuda().__enter__()
    run = threading.Thread.run

    def run_in_mode(self: threading.Thread) -> None:
        with MemoryForCuda():
            run(self)

    threading.Thread.run = run_in_mode  # type: ignore[method-assign]


def _named_device(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments of Tensor.to with device and dtype by name."""
    import torch

    if len(args) > 1 and isinstance(args[1], str | torch.device | int) and not isinstance(args[1], bool):
        kwargs["device"], args = args[1], (args[0], *args[2:])
    if "device" in kwargs and len(args) > 1:
        kwargs["dtype"], args = args[1], args[:1]
    return args, kwargs


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    prepare()
    script = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script)]
    runpy.run_path(str(script), run_name="__main__")
