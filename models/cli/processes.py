"""A command in one process or in several: started here, or met where torchrun has started them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from ..domain.errors import BadProcesses, ProcessLost, TrainingDiverged, TrainingStopped
from ..domain.memory.split_plan import MODES, counts, why_whole
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..engines.device import accelerator, on_zero_gpu
from ..engines.transformers import group
from ..engines.transformers.engine_thread import computed, engine_thread
from ..runtime import Runtime
from ..system.launching import launch
from ..system.ranks import MOST, Place

WATCHED_S = 60.0  # that they wait for each other where one that does not come is seen by whoever started them
# What all of them raise after the same step, or since the first is gone: that one says it.
_SAID_BY_FIRST = (TrainingStopped, TrainingDiverged, ProcessLost)


def add_processes(command: argparse.ArgumentParser, settings: Settings) -> None:
    """Add --processes."""
    command.add_argument(
        "--processes",
        type=count,
        default=settings.processes,
        metavar="N",
        help="that hold the model in parts and compute together, each on its GPU or its share of the cores; "
        "torchrun starts them too (%(default)s)",
    )
    command.set_defaults(place=None)


def leave(status: int) -> NoReturn:
    """End this process; after it has met others at once: threads of theirs abort an end that waits for destructors."""
    if group.MET.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)


def split_runtime(runtime: Runtime, variant: Variant, place: Place) -> Runtime:
    """A Runtime whose models lie over the processes that have met; raises BadProcesses where this one cannot."""
    card = runtime.card(variant)
    shared = Runtime(replace(runtime.settings, processes=place.size), runtime.catalog)
    mode = shared.resolve(variant, card)[1]
    if reason := why_whole(card.sizes, mode.name, place.size):
        numbers = " or ".join([str(number) for number in counts(card.sizes, MODES[0])][:4])
        suggestion = f"Give --processes {numbers}, and {card.key}@bf16 or @fp32." if numbers else "Leave it to one."
        raise BadProcesses(reason=reason, suggestion=suggestion)
    return shared


def count(text: str) -> int:
    """A number of processes; raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is not a whole number, 1 to {MOST}")
    return int(text)


def run_in_processes(
    run: Callable[[Runtime, argparse.Namespace], int],
    runtime: Runtime,
    options: argparse.Namespace,
    place: Place | None,
    arguments: Sequence[str] | None,
) -> int:
    """The exit status of a command that runs here, leads others, follows one, or is started in several processes.

    `place` is this process's among those that somebody else started. Raises BadProcesses, and what the command raises.
    """
    processes = getattr(options, "processes", None)
    if place is None:
        if processes in (None, 1):
            return int(run(runtime, options))
        return launch(processes, ["-m", "models", *(sys.argv[1:] if arguments is None else arguments)])
    if processes is None:
        reason = f"WORLD_SIZE is {place.size}, and this command runs in one process"
        raise BadProcesses(reason=reason, suggestion="Start it by itself.")
    if processes not in (1, place.size):
        reason = f"--processes is {processes}, and WORLD_SIZE is {place.size}"
        raise BadProcesses(reason=reason, suggestion="Leave --processes to whoever starts them.")
    options.place = place
    if not _met_as_first(place, runtime.settings):
        return 0
    status = int(run(runtime, options))
    engine_thread().run(group.dismiss)
    return status


def served_in_processes(settings: Settings, place: Place | None, script: str) -> Settings:
    """The settings of the process that serves the app; the others are started, or do their part, and end in here.

    `place` is this process's among those that somebody else started. Raises BadProcesses, ProcessLost, SystemExit.
    """
    if place is None:
        if settings.processes == 1:
            return settings
        if on_zero_gpu():
            reason = "ZeroGPU lends one GPU, for a call at a time"
            raise BadProcesses(reason=reason, suggestion="Leave PADDOCK_PROCESSES out.")
        raise SystemExit(launch(settings.processes, [script]))
    if settings.processes not in (1, place.size):
        reason = f"PADDOCK_PROCESSES is {settings.processes}, and WORLD_SIZE is {place.size}"
        raise BadProcesses(reason=reason, suggestion="Leave PADDOCK_PROCESSES to whoever starts them.")
    if not _met_as_first(place, settings):
        raise SystemExit(0)
    return replace(settings, processes=place.size)


def _met_as_first(place: Place, settings: Settings) -> bool:
    """Meet the others; False once this process, which is not the first, has done its part to the end."""
    if not place.leads and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first leaves off in order, and they with it
    threads = settings.compute_threads
    wait_s = max(WATCHED_S, settings.join_s) if place.hosted else settings.join_s
    group.join(place, accelerator(), wait_s, threads)
    if place.leads:
        return True
    with suppress(*_SAID_BY_FIRST):
        computed(group.follow, threads, during="while it computed its part")
    return False
