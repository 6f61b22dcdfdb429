"""The bandwidth of this machine's memory is a plausible figure, and does not take long to measure."""

import time

from models.system.bandwidth import read_bandwidth


def test_it_is_what_memory_of_today_reads():
    start = time.perf_counter()
    assert 0.5e9 < read_bandwidth(2) < 2e12
    assert time.perf_counter() - start < 10
