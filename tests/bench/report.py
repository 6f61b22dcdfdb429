"""Markdown tables of figures against targets, and what else used the machine meanwhile."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import psutil

NOISE_CORES = 0.5  # of other processes, above which figures are not to be trusted


@dataclass(frozen=True)
class Target:
    """What a number has to reach."""

    relation: Literal[">=", "<=", "<"]
    value: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.relation} {self.value:g}{self.unit}"

    def met(self, value: float) -> bool:
        return {">=": value >= self.value, "<=": value <= self.value, "<": value < self.value}[self.relation]


@dataclass(frozen=True)
class Row:
    """One measured thing; the target is for `ratio`, or for `value` where there is no ratio."""

    what: str
    figure: str
    ratio: float | None = None
    target: Target | None = None
    value: float | None = None

    def cells(self) -> list[str]:
        judged = self.ratio if self.value is None else self.value
        verdict = "" if self.target is None or judged is None else "met" if self.target.met(judged) else "**not met**"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return [self.what, self.figure, ratio, "" if self.target is None else str(self.target), verdict]


def print_rows(rows: Sequence[Row]) -> None:
    print_table(["what", "figure", "ratio", "target", ""], [row.cells() for row in rows])


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for line in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(line)} |")
    print(flush=True)


def spread(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """Median, and from where to where the repeats went."""
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} {unit} ({low} to {high})" if len(values) > 1 else f"{middle} {unit}"


def print_machine() -> None:
    """The head of a run: what it ran on, and whether something else is running."""
    names = ("gradio", "torch", "transformers", "xllamacpp")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"Load average at the start: {load}")
    before, started = _others(), time.monotonic()
    time.sleep(2)
    cores = (_others() - before) / (time.monotonic() - started)
    print(f"CPU of other processes now: {cores:.2f} cores{_warning(cores)}\n", flush=True)


@contextmanager
def quiet_watch() -> Iterator[None]:
    """Say after a section how much CPU processes that are not ours took meanwhile."""
    before, started, stolen = _others(), time.monotonic(), _stolen()
    yield
    seconds = time.monotonic() - started
    cores, steal = (_others() - before) / seconds, (_stolen() - stolen) / seconds
    print(f"Meanwhile other processes took {cores:.2f} cores and the host {steal:.2f}{_warning(cores + steal)}\n")


def idle_cores(pid: int, seconds: float = 1.0) -> float:
    """Cores that a process takes while nothing is asked of it."""
    process = psutil.Process(pid)
    before, started = tree_cpu_s(process), time.monotonic()
    time.sleep(seconds)
    return (tree_cpu_s(process) - before) / (time.monotonic() - started)


def _warning(cores: float) -> str:
    return " -- **WARNING: not a quiet machine, do not trust these figures**" if cores > NOISE_CORES else "."


def _others() -> float:
    """CPU seconds of everything on this machine but this process and what it started."""
    times = psutil.cpu_times()
    busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
    return busy - _ours()


def _stolen() -> float:
    return getattr(psutil.cpu_times(), "steal", 0.0)


def _ours() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return tree_cpu_s(psutil.Process()) + ended.ru_utime + ended.ru_stime


def tree_cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process and of the living ones that it started."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        times = each.cpu_times()
        total += times.user + times.system
    return total
