"""What the page costs: CPU of the served app outside of the threads that compute, by the length of the answer."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import psutil

from .client import Answer, greedy
from .processes import SMOLLM2, Stage
from .report import Row, Target, print_rows, print_table, quiet_watch, tree_cpu_s

ENDLESS = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,"  # goes on for as long as it may
LENGTHS = (64, 256, 1024)
GROWTH = 1.1  # that counts as none; single runs scatter by that much
COMPUTING = 0.2  # cores: a thread that takes more than this computes; the page's threads take a few hundredths


@dataclass(frozen=True)
class PageCost:
    """CPU seconds of some answers that belong to the page, and how much of everything that was."""

    page_s: float
    all_s: float
    tokens: int
    events: int

    @property
    def ms_per_token(self) -> float:
        return 1000 * self.page_s / self.tokens


def cpu(stage: Stage, repeats: int, lengths: tuple[int, ...] = LENGTHS) -> None:
    """The same number of tokens in many short answers and in few long ones."""
    print(f"### cpu: server CPU outside of the computing threads, {SMOLLM2}@gguf\n")
    longest = max(lengths)
    costs: dict[int, list[PageCost]] = {length: [] for length in lengths}
    with quiet_watch(), stage.only(stage.app.process):
        _measured(stage, lengths[0], 1)
        for _ in range(repeats):
            for length in lengths:
                costs[length].append(_measured(stage, length, longest // length))
        median = {length: statistics.median(cost.ms_per_token for cost in costs[length]) for length in lengths}
        rows = []
        for length in lengths:
            cost = costs[length]
            per_event = statistics.median(1000 * each.page_s / each.events for each in cost)
            share = statistics.median(each.page_s / each.all_s for each in cost)
            per_answer = cost[0].tokens / (longest // length)
            rows.append(
                [f"{per_answer:.0f} tokens", f"{median[length]:.3f} ms", f"{per_event:.2f} ms", f"{100 * share:.1f} %"]
            )
        print_table(["answer", "page CPU a token", "page CPU an event", "of the app's CPU"], rows)
        shortest, between = lengths[0], lengths[1]
        early = (median[between] * between - median[shortest] * shortest) / (between - shortest)
        late = (median[longest] * longest - median[between] * between) / (longest - between)
        print_rows(
            [
                Row(
                    f"page CPU a token, {longest} to {shortest}",
                    f"{median[longest]:.3f} to {median[shortest]:.3f} ms",
                    median[longest] / median[shortest],
                    Target("<=", GROWTH),
                ),
                Row(
                    f"a further token, {between} to {longest} against {shortest} to {between}",
                    f"{late:.3f} to {early:.3f} ms",
                    late / early if early > 0 else None,
                ),
            ]
        )


def _measured(stage: Stage, length: int, answers: int) -> PageCost:
    process = psutil.Process(stage.app.process.pid)
    stage.client.view_api(print_info=False)  # connected, before the clocks are read
    all_before, threads_before, started = tree_cpu_s(process), _threads(process), time.monotonic()
    done: list[Answer] = [
        greedy(stage.client, ENDLESS, f"{SMOLLM2}@gguf", length, complete=True) for _ in range(answers)
    ]
    seconds = time.monotonic() - started
    total = tree_cpu_s(process) - all_before
    used = [now - threads_before.get(number, 0.0) for number, now in _threads(process).items()]
    computing = sum(each for each in used if each > COMPUTING * seconds)
    return PageCost(
        total - computing, total, sum(answer.tokens for answer in done), sum(answer.events for answer in done)
    )


def _threads(process: psutil.Process) -> dict[tuple[int, int], float]:
    """CPU seconds of each thread of the app, also where it computes in a process of its own."""
    return {
        (each.pid, thread.id): thread.user_time + thread.system_time
        for each in (process, *process.children(recursive=True))
        for thread in each.threads()
    }
