"""What the machine has, container limits included."""

import psutil
import pytest

from models.engines import device


def test_this_machine():
    memory = device.memory()
    assert 0 < memory.free <= memory.total <= psutil.virtual_memory().total
    assert device.resident_bytes() > 1_000_000
    assert device.accelerator() in ("cpu", "cuda", "mps")


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


def test_the_peak_is_what_was_used_meanwhile():
    peak = device.PeakMemory()
    peak.start()
    before = device.resident_bytes()
    block = bytearray(b"x") * (80 * 2**20)
    del block
    assert peak.read() >= before
    device.give_back_memory()
