"""What this machine has and uses, without importing torch."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..domain.quantization import Accelerator

_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # cgroup v1 writes a number near 2**63 for “no limit”
_CPUINFO = Path("/proc/cpuinfo")
_CUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_COMPUTE_CAPABILITY_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of cuda.h
# Of mallopt. The largest block and twice that are what glibc's own adjustment ends at, which any setting switches off.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _BLOCK, _LARGEST_BLOCK = -1, -3, 1 << 20, 32 << 20


@dataclass(frozen=True)
class Memory:
    """Bytes of main memory that this process may use, and those of them that are free."""

    total: int
    free: int


@dataclass(frozen=True)
class GpuMemory(Memory):
    """The same of a GPU, as its driver counts them for all programs; `bandwidth` in bytes a second, 0 if not known."""

    name: str
    bandwidth: float = 0.0


def on_zero_gpu() -> bool:
    """Whether a GPU is lent to forked workers only, for a call at a time, as the platform says."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


_MAIN = os.getpid()


def in_worker() -> bool:
    """Whether this process was forked from the app, which on ZeroGPU is where a GPU is."""
    return os.getpid() != _MAIN


@cache
def accelerator() -> Accelerator:
    """What models compute on here: CUDA where ZeroGPU says so or the driver shows a GPU that torch can use."""
    if on_zero_gpu():
        return "cuda"
    built_without = importlib.metadata.version("torch").endswith(("+cpu", "+xpu"))
    if not built_without and _compute_capability() > 0:
        return "cuda"
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    return "cpu"


def memory() -> Memory:
    """Main memory, honouring the limit of a container (cgroup v1 or v2)."""
    import psutil

    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    for limit_file, usage_file, stat_file, cache_key in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        limit = _number(_CGROUP / limit_file)
        if limit is not None and limit < min(total, _NO_LIMIT):
            # Pages of files that nobody reads any more are given back under pressure, so they count as free.
            used = (_number(_CGROUP / usage_file) or 0) - _stat(_CGROUP / stat_file, cache_key)
            total, free = limit, min(free, max(limit - used, 0))
    return Memory(total, free)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or “max”
        return None


def _stat(path: Path, key: str) -> int:
    try:
        lines = (line.split() for line in path.read_text().splitlines())
        return next((int(words[1]) for words in lines if words[:1] == [key]), 0)
    except (OSError, ValueError, IndexError):
        return 0


def resident_bytes() -> int:
    """Main memory that this process holds now."""
    import psutil

    return psutil.Process().memory_info().rss


class PeakMemory:
    """The most memory in use since `start`, in bytes: of the GPU where torch has one, else of this process."""

    _resettable = False

    def start(self) -> None:
        if cuda := _loaded_cuda():
            cuda.reset_peak_memory_stats()
            return
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
            self._resettable = True

    def read(self) -> int:
        if cuda := _loaded_cuda():
            return int(cuda.max_memory_allocated())
        peak_kb = _stat(Path("/proc/self/status"), "VmHWM:") if self._resettable else 0
        return 1024 * peak_kb or resident_bytes()


def _loaded_cuda() -> Any:
    """torch.cuda if torch is loaded and a GPU was used, without importing either."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


def give_back_memory() -> None:
    """Return what is no longer referred to: Python's, the allocator's and the GPU's."""
    gc.collect()
    if cuda := _loaded_cuda():
        cuda.empty_cache()
    if (libc := _glibc()) is None:
        return
    libc.malloc_trim(0)
    # It leaves the free end of the calling thread's heap, up to 64 MiB, to `free`, which looks at it when a block of
    # 64 KiB or more is freed.
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    libc.mallopt(_M_TRIM_THRESHOLD, 0)
    libc.free(libc.malloc(_BLOCK // 8))
    libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_BLOCK)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") else None


@contextmanager
def tensors_outside_the_heap() -> Iterator[None]:
    """Give every block of 1 MiB or more pages of its own meanwhile, which go back as soon as it is freed (glibc).

    Loading frees a tensor for each that it makes. In the heap those leave gaps: quantizing 135M parameters held
    100 to 300 MiB more at its peak, another share each time.
    """
    if (libc := _glibc()) is None:
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, _BLOCK)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)  # activations come and go too often for pages of their own
        # Left at 128 KiB, a batch with adapters gave pages back and got them again, 400 to 800 for each token.
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_BLOCK)


def packages() -> frozenset[str]:
    """Which of the optional packages that modes ask for are installed."""
    return frozenset(name for name in ("bitsandbytes", "gptqmodel", "optimum") if importlib.util.find_spec(name))


def native_bf16() -> bool:
    """Whether bf16 is computed in hardware: compute capability 8.0 on CUDA, AVX512-BF16 on a CPU.

    True where it cannot be asked: on ZeroGPU before a GPU is there, and on MPS.
    """
    if accelerator() == "cpu":
        try:
            lines = _CPUINFO.read_text().splitlines()
        except OSError:
            return False
        return any(line.startswith("flags") and "avx512_bf16" in line.split() for line in lines)
    if accelerator() == "cuda" and not on_zero_gpu() and (capability := _compute_capability()):
        return capability >= 8
    return True


def _compute_capability() -> int:
    """Major number of the first GPU that the NVIDIA driver shows to this process, 0 without one; makes no context."""
    try:
        driver = ctypes.CDLL(_CUDA)
        major, gpu = ctypes.c_int(), ctypes.c_int()
        if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(gpu), 0):
            return 0
        failed = driver.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, gpu)
        return 0 if failed else major.value
    except (OSError, AttributeError):
        return 0


def gpu_memory() -> GpuMemory | None:
    """Memory and name of the first GPU that this process may see, by NVML: no torch, no context; None without one."""
    import pynvml

    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if not first or first.startswith("-"):
        return None
    try:
        pynvml.nvmlInit()
        try:
            if first.isdecimal():
                gpu = pynvml.nvmlDeviceGetHandleByIndex(int(first))
            else:  # “GPU-…” or “MIG-…”
                gpu = pynvml.nvmlDeviceGetHandleByUUID(first)
            memory, name = pynvml.nvmlDeviceGetMemoryInfo(gpu), "the GPU"
            with suppress(pynvml.NVMLError, UnicodeDecodeError):
                name = str(pynvml.nvmlDeviceGetName(gpu))
            bandwidth = 0.0
            with suppress(pynvml.NVMLError):  # two transfers a clock
                clock = pynvml.nvmlDeviceGetMaxClockInfo(gpu, pynvml.NVML_CLOCK_MEM)
                bandwidth = 2 * clock * 1e6 * pynvml.nvmlDeviceGetMemoryBusWidth(gpu) / 8
            return GpuMemory(memory.total, memory.free, name, bandwidth)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
