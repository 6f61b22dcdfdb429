"""Which of several processes this one is, as torchrun or our own launcher says it in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from ..domain.errors import BadProcesses

MOST = 4096  # processes
# Taken out once they were read: libraries take them for an order to distribute the work by themselves.
_TAKEN = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "ROLE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)
_AGENT = "TORCHELASTIC_USE_AGENT_STORE"


@dataclass(frozen=True)
class Place:
    """`rank` of `size` processes that meet at `address`:`port`; the `local`-th of `beside` ones on this machine.

    `hosted` says that whoever started them listens there, as torchrun does; else the first process does.
    """

    rank: int
    size: int
    local: int
    beside: int
    address: str
    port: int
    hosted: bool = False

    @property
    def leads(self) -> bool:
        """Whether it decides, says and writes; the others do as it does."""
        return self.rank == 0

    def variables(self) -> dict[str, str]:
        """What `take_place` reads."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(self.local),
            "LOCAL_WORLD_SIZE": str(self.beside),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


def take_place(env: MutableMapping[str, str] = os.environ) -> Place | None:
    """This process's place, or None when it is alone; raises BadProcesses.

    The variables leave the environment. In their stead it has the GPU of this process alone, and its share of the cores
    unless the operator has said how many threads compute.
    """
    place = read_place(env)
    for name in _TAKEN:
        env.pop(name, None)
    if place is None:
        return None
    gpus = [gpu.strip() for gpu in env.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu.strip()]
    if "CUDA_VISIBLE_DEVICES" not in env:
        env["CUDA_VISIBLE_DEVICES"] = str(place.local)
    else:
        env["CUDA_VISIBLE_DEVICES"] = gpus[place.local] if place.local < len(gpus) else ""
    env.setdefault("PADDOCK_THREADS", str(share_of_cores(place.beside)))
    env.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # who cannot be met is said in a sentence
    return place


def read_place(env: Mapping[str, str]) -> Place | None:
    """The place that the variables name; raises BadProcesses."""
    if "RANK" not in env and env.get("WORLD_SIZE", "1").strip() == "1":
        return None
    size, rank = _whole(env, "WORLD_SIZE", 1, MOST), _whole(env, "RANK", 0, MOST)
    if rank >= size:
        reason = f"RANK is {rank}, and with a WORLD_SIZE of {size} it is at most {size - 1}"
        raise BadProcesses(reason=reason, suggestion="Number the processes from 0.")
    if size == 1:
        return None
    beside = _whole(env, "LOCAL_WORLD_SIZE", 1, MOST) if "LOCAL_WORLD_SIZE" in env else size
    local = _whole(env, "LOCAL_RANK", 0, beside - 1) if "LOCAL_RANK" in env else rank % beside
    if not (address := env.get("MASTER_ADDR", "").strip()):
        raise BadProcesses(reason="MASTER_ADDR is not set", suggestion="Name the machine of the process with RANK 0.")
    port = _whole(env, "MASTER_PORT", 1, 65535)
    return Place(rank, size, local, beside, address, port, hosted=env.get(_AGENT) == "True")


def share_of_cores(processes: int) -> int:
    """Threads of each of so many processes on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes)


def _whole(env: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = env.get(name, "").strip()
    if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
        reason = f"{name} is {f'“{text[:40]}”' if text else 'not set'}, and has to be a whole number, {low} to {high}"
        raise BadProcesses(reason=reason, suggestion="Start them with --processes, or with torchrun, which set it.")
    return int(text)
