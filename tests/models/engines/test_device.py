"""What the machine has, container limits included."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pynvml
import pytest

from models.engines import device

ROOT = Path(__file__).parents[3]


def test_this_machine():
    memory = device.memory()
    assert 0 < memory.free <= memory.total <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("files", "total", "free"),
    [
        (
            {"memory.max": "2000000", "memory.current": "500000", "memory.stat": "anon 9\ninactive_file 100000"},
            2e6,
            1.6e6,
        ),
        ({"memory.max": "max", "memory.current": "500000"}, None, None),
        (
            {
                "memory/memory.limit_in_bytes": "3000000",
                "memory/memory.usage_in_bytes": "1000000",
                "memory/memory.stat": "total_inactive_file 0",
            },
            3e6,
            2e6,
        ),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "1"}, None, None),
        ({"memory.max": "1000", "memory.current": "5000"}, 1000, 0),
    ],
)
def test_a_containers_limit_counts(tmp_path, monkeypatch, files, total, free):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(device, "_CGROUP", tmp_path)
    memory = device.memory()
    assert memory.total == (psutil.virtual_memory().total if total is None else total)
    if free is not None:
        assert memory.free == free


def test_zerogpu_is_cuda_before_any_gpu_is_there(monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    device.accelerator.cache_clear()
    assert device.accelerator() == "cuda"
    monkeypatch.undo()
    device.accelerator.cache_clear()


def in_a_process_of_its_own(*lines: str) -> None:
    """Run lines where no earlier test has left free memory in the heap, or taken the system's mappings."""
    code = "\n".join(("from models.engines import device", *lines))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_peak_is_what_was_used_meanwhile():
    in_a_process_of_its_own(
        "peak = device.PeakMemory()",
        "peak.start()",
        "before = device.resident_bytes()",
        "block = bytearray(b'x') * (80 * 2**20)",
        "del block",
        "assert peak.read() > before + 70 * 2**20",
    )


# --- GPUs, by libraries that say what a driver says ------------------------------------------------------------

DRIVER = r"""
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory_t;
static int shut = 1;
int nvmlInitWithFlags(unsigned flags) { shut = 0; return FAIL_INIT; }
int nvmlShutdown(void) { shut = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) {
    *gpu = (void *)(long)(index + 1); return shut || index > 3 ? 6 : 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **gpu) {
    *gpu = (void *)9; return strcmp(uuid, "GPU-abc") ? 6 : 0;
}
int nvmlDeviceGetMemoryInfo(void *gpu, memory_t *memory) {
    memory->total = (long)gpu * 1000; memory->free = (long)gpu * 500; return 0;
}
int nvmlDeviceGetName(void *gpu, char *name, unsigned length) { strncpy(name, "Fake H100", length); return 0; }
int nvmlDeviceGetMaxClockInfo(void *gpu, int kind, unsigned *mhz) { *mhz = kind == 2 ? 1215 : 0; return 0; }
int nvmlDeviceGetMemoryBusWidth(void *gpu, unsigned *bits) { *bits = 5120; return 0; }
int cuInit(unsigned flags) { return FAIL_INIT; }
int cuDeviceGet(int *gpu, int ordinal) { *gpu = 7; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int gpu) {
    *value = attribute == 75 && gpu == 7 ? MAJOR : 0; return 0;
}
"""


def load_nvml(monkeypatch, library):
    """Put a library, or None for none so far, in the place of NVML."""
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Builds a driver and puts it in the place of NVIDIA's two libraries."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    source = tmp_path / "driver.c"
    source.write_text(DRIVER)

    def build(major=8, fail_init=0):
        library = tmp_path / f"driver-{major}-{fail_init}.so"
        macros = [f"-DMAJOR={major}", f"-DFAIL_INIT={fail_init}"]
        subprocess.run(["gcc", "-shared", "-fPIC", *macros, "-o", str(library), str(source)], check=True)
        load_nvml(monkeypatch, ctypes.CDLL(str(library)))
        monkeypatch.setattr(device, "_CUDA", str(library))

    return build


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, (1000, 500)),
        ("2,0", (3000, 1500)),
        ("GPU-abc", (9000, 4500)),
        ("GPU-other", None),
        ("7", None),
        ("", None),
        ("-1", None),
    ],
)
def test_memory_of_the_first_visible_gpu(driver, monkeypatch, visible, expected):
    driver()
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpu = device.gpu_memory()
    a100 = 1_555_200_000_000  # 1215 MHz, two transfers a clock, 5120 bits: 1,555 GB/s by NVIDIA's data sheet
    assert gpu == (expected and device.GpuMemory(*expected, "Fake H100", a100))


def test_without_a_driver_there_is_no_gpu(monkeypatch):
    def refused(*args):
        raise OSError("no such library")

    load_nvml(monkeypatch, None)
    monkeypatch.setattr(pynvml, "CDLL", refused)
    monkeypatch.setattr(device, "_CUDA", "libno-such-library.so.1")
    assert device.gpu_memory() is None
    assert device._compute_capability() == 0


def test_a_driver_that_does_not_start_has_no_gpu(driver):
    driver(fail_init=9)
    assert device.gpu_memory() is None
    assert device._compute_capability() == 0


def test_a_library_without_the_functions_has_no_gpu(monkeypatch):
    load_nvml(monkeypatch, ctypes.CDLL(None))
    monkeypatch.setattr(device, "_CUDA", None)  # the process itself
    assert device.gpu_memory() is None
    assert device._compute_capability() == 0


@pytest.mark.parametrize(("major", "native"), [(7, False), (8, True), (9, True)])
def test_native_bf16_begins_with_compute_capability_8(driver, monkeypatch, major, native):
    driver(major)
    monkeypatch.setattr(device, "accelerator", lambda: "cuda")
    assert device.native_bf16() is native


def test_native_bf16_of_a_gpu_that_is_not_there_yet(monkeypatch):
    monkeypatch.setattr(device, "accelerator", lambda: "cuda")
    monkeypatch.setattr(device, "_CUDA", "libno-such-library.so.1")
    assert device.native_bf16()


@pytest.mark.parametrize(("flags", "native"), [("fpu avx512_bf16 sse", True), ("fpu avx512f", False), (None, False)])
def test_native_bf16_of_a_cpu(tmp_path, monkeypatch, flags, native):
    monkeypatch.setattr(device, "accelerator", lambda: "cpu")
    monkeypatch.setattr(device, "_CPUINFO", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags     : {flags}\n")
    assert device.native_bf16() is native


def test_packages_that_are_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "gptqmodel" or None)
    assert device.packages() == {"gptqmodel"}


def test_large_blocks_leave_no_gaps_in_the_heap():
    in_a_process_of_its_own(
        "with device.tensors_outside_the_heap():",
        "    blocks = [bytearray(b'x') * (4 * 2**20) for _ in range(20)]",
        "    held = device.resident_bytes()",
        "    del blocks[::2]",
        "    assert device.resident_bytes() < held - 30 * 2**20  # of 40 MiB",
    )
